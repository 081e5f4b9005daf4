/** See README.md beside this file. */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startNode } from '../shared/node.ts';
import { Store } from './store.ts';
import { answerComparison, compare } from './sync.ts';

const USAGE = `examples/fullsync: two stores that have grown apart become equal

Reads lines from its input:
  set KEY VALUE       writes here only
  fill PREFIX COUNT   writes so many keys here only
  sync SITE           makes this store and that of the site equal
  root                prints the hash of the whole store`;

/** Before a comparison that failed is begun again, in ms. */
const AGAIN_MS = 200;

const { link, site, data, lines, signal } = await startNode(USAGE);
const store = new Store(site, join(data, 'entries.jsonl'));
link.protocol({
  name: 'fullsync',
  class: 'fullsync',
  accept: (stream) => answerComparison(stream, store),
});

async function sync(other: string): Promise<void> {
  for (let attempt = 1; !signal.aborted; attempt++) {
    try {
      const peer = await link.peer(`${other}/${other}1`, { signal });
      const stream = await peer.open({ protocol: 'fullsync', class: 'fullsync' }, { signal });
      const { hashes, buckets, entries } = await compare(stream, store);
      console.log(
        `equal to ${other}: ${hashes} hashes, ${buckets} buckets, ${entries} entries, attempt ${attempt}`,
      );
      return;
    } catch (error) {
      console.log(`begins again: ${(error as Error).message}`);
      await sleep(AGAIN_MS, undefined, { signal }).catch(() => undefined);
    }
  }
}

for await (const line of lines) {
  const [command, name = '', ...rest] = line.split(' ');
  if (command === 'set') {
    store.write(name, rest.join(' '));
    console.log(`set ${name}`);
  } else if (command === 'fill') {
    const keys = Array.from({ length: Number(rest[0]) }, (_, i) => `${name}-${i}`);
    store.merge(
      keys.map((key) => ({
        ...{ key, value: `${key} of ${site}`, site },
        version: (store.get(key)?.version ?? 0) + 1,
      })),
    );
    console.log(`filled ${name}`);
  } else if (command === 'sync') {
    void sync(name);
  } else if (command === 'root') {
    console.log(`root ${store.tree.hashOf('')} of ${store.size} keys`);
  } else if (line !== '') {
    console.log(`not understood: ${line}`);
  }
}
