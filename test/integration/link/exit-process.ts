import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { subscribe } from '../../../packages/link/src/stats/index.ts';
import { createLink } from '../../../packages/link/src/index.ts';
import { identity, TEXT } from '../../support/link-lab.ts';

/** A program that does all that a link can do, ends none of it, and closes its links. */
const directory = mkdtempSync(join(tmpdir(), 'routy-exit-'));
const [gray, red] = [
  createLink({ identity: identity('gray') }),
  createLink({ identity: identity('red') }),
];
const never = () => new Promise<never>(() => undefined);
const { signal } = new AbortController();
// What is told of the end of all this is not of interest.
const ignore = () => undefined;

const unix = { transport: 'unix', address: { kind: 'unix', path: join(directory, 's') } } as const;
await gray.listen(unix, { signal });
const at = { kind: 'tcp', host: '127.0.0.1', port: 0 } as const;
const { address } = await gray.listen({ transport: 'tcp', address: at, insecure: true });
gray.protocol({ name: 'idle', accept: (stream) => void stream.bytes(), reply: never }, { signal });
red.locate('nowhere', never, { signal });
const owner = new AbortController();
red.locate('gone', never, { signal: owner.signal });
red.protocol({ name: 'gone', accept: never }, { signal: owner.signal });

const peer = await red.dial(unix, { signal }).ready({ signal });
await red.dial({ transport: 'tcp', address }, { insecure: true, lanes: 2 }).ready();
red.dial({ nowhere: 1 }).ready({ signal }).catch(ignore);
red.dial({ gone: 1 }).ready().catch(ignore);
red
  .dial({ transport: 'tcp', address: { ...at, port: 1 } }, { insecure: true })
  .ready()
  .catch(ignore);
red.peer('blue/blue1').catch(ignore);
for (const whom of [peer, 'gray/gray1', 'blue/blue1', unix]) {
  const conversation = red.converse<string, string>(whom, {
    ...{ protocol: 'idle', codecs: { 1: TEXT } },
    behaviour: { next: never, call: never },
  });
  conversation.call('x' as never, 60_000).catch(ignore);
}
const bytes = (await peer.open({ protocol: 'idle' })).bytes();
bytes.read().catch(ignore);
peer.request({ protocol: 'idle' }).catch(ignore);
peer.open({ protocol: 'nothing' }).catch(ignore);
red.drain().catch(ignore);
const snapshots = subscribe(red.statistics, signal);
snapshots.next().catch(ignore);
subscribe(gray.statistics).next().catch(ignore);
// All of it is under way by then, or still on its way there: the program has to end in either case.
await new Promise((resolve) => setTimeout(resolve, 100));
owner.abort();
await Promise.all([red.close(), gray.close()]);
rmSync(directory, { recursive: true });
console.log('closed');
