/** See README.md beside this file. */
import { join } from 'node:path';
import { startNode } from '../shared/node.ts';
import { CODECS, Feed, takeFeed } from './feed.ts';
import { Store } from './store.ts';

const USAGE = `examples/realtime: a key-value store at every site, and each write at all of them

Reads lines from its input:
  set KEY VALUE   writes, and says so when the write is on the disk
  values          prints all keys and values`;

const { link, site, data, peers, lines, signal } = await startNode(USAGE);
const store = new Store(site, join(data, 'writes.jsonl'));
link.protocol({
  name: 'realtime',
  class: 'realtime',
  accept: (stream) => takeFeed(stream, store),
});
for (const name of peers) {
  const [neighbour] = name.split('/') as [string];
  link.converse(name, {
    protocol: 'realtime',
    class: 'realtime',
    codecs: CODECS,
    behaviour: new Feed(store, neighbour),
    signal,
  });
}

for await (const line of lines) {
  const [command, key, ...value] = line.split(' ');
  if (command === 'set' && key) {
    const { sequence } = store.write(key, value.join(' '));
    console.log(`wrote ${key} as ${site}:${sequence}`);
  } else if (command === 'values') {
    console.log(`values ${JSON.stringify(store.values())}`);
  } else if (line !== '') {
    console.log(`not understood: ${line}`);
  }
}
