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
  get KEY             prints the value, and where it was written
  sync SITE           makes this store and that of the site equal
  root                prints the hash of the whole store
  bytes               prints what all comparisons have sent and received`;

/** Before a comparison that failed is begun again, in ms: twice as long each time. */
const AGAIN_MS_MIN = 200;
const AGAIN_MS_MAX = 5000;

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
      const { hashes, keys, sent, received } = await compare(stream, store);
      const took = `${hashes} hashes, ${keys} keys, ${sent} sent, ${received} received`;
      console.log(`equal to ${other}: ${took}, attempt ${attempt}`);
      return;
    } catch (error) {
      console.log(`begins again: ${(error as Error).message}`);
      const waitMs = Math.min(AGAIN_MS_MAX, AGAIN_MS_MIN * 2 ** (attempt - 1));
      await sleep(waitMs, undefined, { signal }).catch(() => undefined);
    }
  }
}

function obey(command: string, name: string, rest: string): string | undefined {
  switch (command) {
    case 'set':
      store.write(new Map([[name, rest]]));
      return `set ${name}, version ${store.get(name)!.version}`;
    case 'fill': {
      const keys = Array.from({ length: Number(rest) }, (_, i) => `${name}-${i}`);
      store.write(new Map(keys.map((key) => [key, `${key} of ${site}`])));
      return `filled ${name}`;
    }
    case 'get': {
      const entry = store.get(name);
      if (entry === undefined) return `${name} is not here`;
      return `${name} is ${entry.value}, version ${entry.version} of ${entry.site}`;
    }
    case 'sync':
      void sync(name);
      return undefined;
    case 'root':
      return `root ${store.tree.hashOf('')} of ${store.size} keys`;
    case 'bytes': {
      const { classes } = link.statistics.snapshot();
      const counters = classes.find((each) => each.class === 'fullsync')?.counters;
      return `bytes ${(counters?.bytesSent ?? 0) + (counters?.bytesReceived ?? 0)}`;
    }
    default:
      throw new Error('this is no command');
  }
}

for await (const line of lines) {
  const [command = '', name = '', ...rest] = line.split(' ');
  try {
    const answer = obey(command, name, rest.join(' '));
    if (answer !== undefined) console.log(answer);
  } catch (error) {
    console.log(`refused ${command} ${name}: ${(error as Error).message}`);
  }
}
