/** See README.md beside this file. */
import { startNode } from '../shared/node.ts';
import { CODECS, Mover, takeOver } from './moving.ts';
import { digestOf, Partitions } from './partitions.ts';

const USAGE = `examples/handoff: partitions, each owned by one site, that move from site to site

Reads lines from its input:
  put PARTITION KEY VALUE   writes, and says so when the write is on the disk
  move PARTITION SITE       gives the partition to another site
  show PARTITION            says what has become of it here, and how much is in it`;

const { link, data, peers, lines, signal } = await startNode(USAGE);
const partitions = new Partitions(data);
link.protocol({
  name: 'handoff',
  class: 'handoff',
  accept: async (stream) => {
    console.log(`owns ${await takeOver(stream, partitions)}`);
  },
});

/** Until it is moved, however often that has to be begun again. */
function move(partition: string, name: string): void {
  const moved = new AbortController();
  link.converse(name, {
    protocol: 'handoff',
    class: 'handoff',
    codecs: CODECS,
    behaviour: new Mover(partitions, partition, () => {
      console.log(`moved ${partition}`);
      moved.abort();
    }),
    signal: AbortSignal.any([signal, moved.signal]),
  });
}

const nameOf = (site: string) => peers.find((name) => name.startsWith(`${site}/`));

// What was on its way when this program ended goes on.
for (const name of peers) {
  const [site] = name.split('/') as [string];
  for (const partition of partitions.movingTo(site)) move(partition, name);
}

for await (const line of lines) {
  const [command, partition = '', ...rest] = line.split(' ');
  try {
    if (command === 'put') {
      const [key = '', ...value] = rest;
      partitions.put(partition, { key, value: value.join(' ') });
      console.log(`put ${partition} ${key}`);
    } else if (command === 'move') {
      const name = nameOf(rest[0] ?? '');
      if (name === undefined) throw new Error(`--peer ${rest[0]} was not said`);
      partitions.move(partition, name.split('/')[0]!);
      console.log(`moving ${partition}`);
      move(partition, name);
    } else if (command === 'show') {
      const event = partitions.stateOf(partition);
      const holds = event !== undefined && event.state !== 'gone';
      const items = holds ? partitions.items(event.id).records : [];
      console.log(
        `${partition} is ${event?.state ?? 'unknown'}: ${items.length} writes, ${digestOf(items)}`,
      );
    } else if (line !== '') {
      console.log(`not understood: ${line}`);
    }
  } catch (error) {
    console.log(`refused: ${(error as Error).message}`);
  }
}
