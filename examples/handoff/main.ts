/** See README.md beside this file. */
import { startNode } from '../shared/node.ts';
import { CODECS, Mover, takeOver } from './moving.ts';
import { digestOf, Partitions } from './partitions.ts';

const USAGE = `examples/handoff: partitions, each owned by one site, that move from site to site

Reads lines from its input:
  create PARTITION          makes one that no site has yet
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
  const conversation = link.converse(name, {
    protocol: 'handoff',
    class: 'handoff',
    codecs: CODECS,
    behaviour: new Mover(partitions, partition, {
      goesOn: (have, all) =>
        console.log(`${partition} goes on: ${have} of ${all} writes are there`),
      moved() {
        console.log(`moved ${partition}`);
        moved.abort();
      },
    }),
    signal: AbortSignal.any([signal, moved.signal]),
  });
  void conversation.ended.then((failure) => {
    if (failure !== undefined) console.log(`${partition} moves no more: ${failure.message}`);
  });
}

const nameOf = (site: string) => peers.find((name) => name.startsWith(`${site}/`));

// What was on its way when this program ended goes on.
for (const name of peers) {
  const [site] = name.split('/') as [string];
  for (const partition of partitions.movingTo(site)) move(partition, name);
}

function obey(command: string, partition: string, rest: readonly string[]): void {
  const [first = '', ...more] = rest;
  if (command === 'create') {
    partitions.create(partition);
    console.log(`created ${partition}`);
  } else if (command === 'put') {
    partitions.put(partition, { key: first, value: more.join(' ') });
    console.log(`put ${partition} ${first}`);
  } else if (command === 'move') {
    const name = nameOf(first);
    if (name === undefined) throw new Error(`--peer ${first} was not said`);
    partitions.move(partition, first);
    console.log(`moving ${partition}`);
    move(partition, name);
  } else if (command === 'show') {
    const event = partitions.stateOf(partition);
    const holds = event !== undefined && event.state !== 'gone';
    const items = holds ? partitions.items(event.id).records : [];
    const what = `${event?.state ?? 'unknown'}: ${items.length} writes, ${digestOf(items)}`;
    console.log(`${partition} is ${what}`);
  } else {
    throw new Error('this is no command');
  }
}

for await (const line of lines) {
  const [command, partition, ...rest] = line.split(' ');
  try {
    if (!command) continue;
    if (!partition) throw new Error('say a partition');
    obey(command, partition, rest);
  } catch (error) {
    const what = [command, partition, ...rest.slice(0, 1)].join(' ');
    console.log(`refused ${what}: ${(error as Error).message}`);
  }
}
