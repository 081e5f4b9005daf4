/** See README.md beside this file. */
import { join } from 'node:path';
import { startNode } from '../shared/node.ts';
import { CODECS, Feed, takeFeed } from './feed.ts';
import { Store } from './store.ts';

const USAGE = `examples/realtime: a key-value store at every site, and each write at all of them

Reads lines from its input:
  set KEY VALUE   writes, and says so when the write is on the disk
  values          prints all keys and values
  behind          prints how many writes each neighbour has not acknowledged`;

const { link, site, data, peers, lines, signal } = await startNode(USAGE);
const store = new Store(site, join(data, 'writes.jsonl'));
link.protocol({
  name: 'realtime',
  class: 'realtime',
  accept: (stream) => takeFeed(stream, store),
});
const feeds = new Map<string, Feed>();
for (const name of peers) {
  const [neighbour] = name.split('/') as [string];
  const feed = new Feed(store, neighbour);
  feeds.set(neighbour, feed);
  link.converse(name, {
    protocol: 'realtime',
    class: 'realtime',
    codecs: CODECS,
    behaviour: feed,
    signal,
  });
}

function write(key: string, value: string): void {
  try {
    const { sequence } = store.write(key, value);
    console.log(`wrote ${key} as ${site}:${sequence}`);
  } catch (error) {
    console.log(`did not write ${key}: ${(error as Error).message}`);
  }
}

for await (const line of lines) {
  const [command, key, ...value] = line.split(' ');
  if (command === 'set' && key) {
    write(key, value.join(' '));
  } else if (command === 'values') {
    console.log(`values ${JSON.stringify(store.values())}`);
  } else if (command === 'behind') {
    const counts = [...feeds].map(([neighbour, feed]) => [neighbour, feed.behind]);
    console.log(`behind ${JSON.stringify(Object.fromEntries(counts))}`);
  } else if (line !== '') {
    console.log(`not understood: ${line}`);
  }
}
