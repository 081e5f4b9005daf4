import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import {
  createLink,
  type Link,
  type LinkConversation,
  type LinkOptions,
  type Refused,
} from '../../../../packages/link/src/index.ts';
import type { Candidate } from '../../../../packages/link/src/locators/index.ts';
import type { RoutyError } from '../../../../packages/proto/src/base/index.ts';
import { testCa, testCredentials } from '../../../support/certificates.ts';
import { FaultProxy } from '../../../support/faults/fault-proxy.ts';
import { LOOPBACK, until } from '../../../support/lanes/lane-pair.ts';
import { echo, identity, TEXT, textOf } from '../../../support/link-lab.ts';

const TIMEOUT = { timeout: 60_000 };
const TRANSPORTS = ['tls', 'tcp', 'unix'] as const;

interface RestartLab {
  /** A new process of that node, as it were: what the one before knew is gone. */
  start(site: 'red' | 'gray'): Link;
  /** Where that link can be dialled. */
  listen(link: Link): Promise<Candidate>;
  readonly dialOptions: { readonly insecure: boolean };
}

async function restartLab(
  t: TestContext,
  transport: (typeof TRANSPORTS)[number],
): Promise<RestartLab> {
  const folder = await mkdtemp(join(tmpdir(), 'routy-restart-'));
  t.after(() => rm(folder, { recursive: true }));
  const insecure = transport === 'tcp';
  const papers = await papersFor(transport);
  let sockets = 0;
  return {
    dialOptions: { insecure },
    start: (site) => {
      const link = createLink(papers[site]);
      t.after(() => link.close());
      link.protocol({ name: 'echo', accept: echo });
      return link;
    },
    listen: async (link) => {
      const unix = { kind: 'unix', path: join(folder, `${sockets++}`) } as const;
      const address = transport === 'unix' ? unix : LOOPBACK;
      const listener = await link.listen({ transport, address, insecure });
      return { transport, address: listener.address };
    },
  };
}

async function papersFor(transport: string): Promise<Record<'red' | 'gray', LinkOptions>> {
  if (transport !== 'tls')
    return { red: { identity: identity('red') }, gray: { identity: identity('gray') } };
  const ca = await testCa();
  const [red, gray] = await Promise.all(
    ['red', 'gray'].map((site) => testCredentials(ca, { site })),
  );
  return { red: { credentials: red! }, gray: { credentials: gray! } };
}

/** A conversation with an echo, and what came back of it. */
function speak(link: Link, whom: string) {
  const heard: string[] = [];
  const unsaid: string[] = [];
  let wake: () => void = () => undefined;
  const conversation: LinkConversation<string> = link.converse<string>(whom, {
    protocol: 'echo',
    codecs: { 1: TEXT },
    behaviour: {
      message: (text) => void heard.push(text),
      next: async (signal) => {
        while (unsaid.length === 0) {
          await new Promise<void>((resolve, reject) => {
            wake = resolve;
            signal.addEventListener('abort', () => reject(signal.reason as Error), {
              once: true,
            });
          });
        }
        return unsaid.shift();
      },
    },
  });
  const say = (text: string) => {
    unsaid.push(text);
    wake();
    return until(`${text} comes back`, () => heard.includes(text));
  };
  return { conversation, say };
}

for (const transport of TRANSPORTS) {
  describe(`over ${transport}, when a node starts anew`, TIMEOUT, () => {
    test('one that dials: its newer process takes over, and the older one is told why', async (t) => {
      const lab = await restartLab(t, transport);
      const gray = lab.start('gray');
      const refusals: Refused[] = [];
      gray.on('refused', (refused) => refusals.push(refused));
      const at = await lab.listen(gray);
      const older = lab.start('red').dial(at, lab.dialOptions);
      const messages = textOf(await older.open({ protocol: 'echo' }));
      const accepted = await gray.peer('red/red1');
      const { conversation, say } = speak(gray, 'red/red1');
      await say('to the older one');
      const [down, downHere] = [once(older, 'down'), once(accepted, 'down')];

      const newer = await lab.start('red').dial(at, lab.dialOptions).ready();
      for (const [reason] of (await Promise.all([down, downHere])) as [RoutyError][]) {
        assert.equal(reason.code, 'taken-over');
        assert.match(reason.message, /red\/red1 began another session/);
        assert.match(reason.hint!, /Another process runs with the identity of this one/);
      }
      await assert.rejects(messages.receive(), { code: 'session-lost' });
      // It goes on dialling, is told that it is the older one, and takes nothing back.
      const [failure] = (await once(older, 'attempt')) as [RoutyError];
      assert.equal(failure.code, 'stale-epoch');
      assert.match(failure.message, /replaced by a newer one/);
      await until('that is told here, too', () => refusals.some((r) => r.code === 'stale-epoch'));
      await say('to the newer one');
      assert.equal(conversation.status.establishments, 2);
      assert.equal(newer.state, 'up');
    });

    test('one that listens: the session ends at once, and the next is begun', async (t) => {
      const lab = await restartLab(t, transport);
      const first = lab.start('gray');
      const at = await lab.listen(first);
      // What is cut is the way to the first: to kill a process is not to say goodbye.
      const proxy = await proxyTo(t, at);
      const red = lab.start('red');
      let where: Candidate = proxy.candidate;
      red.locate('cluster', () => [where]);
      const peer = red.dial({ cluster: 'gray' }, lab.dialOptions);
      const messages = textOf(await peer.open({ protocol: 'echo' }));
      const { conversation, say } = speak(red, 'gray/gray1');
      await say('to the first');

      const second = lab.start('gray');
      where = await lab.listen(second);
      const [down, up] = [once(peer, 'down'), once(peer, 'up')];
      proxy.refuse();
      await proxy.cut({ how: 'reset' });
      const [reason] = (await down) as [RoutyError];
      assert.equal(reason.code, 'unknown-session');
      assert.match(reason.hint!, /The other end began anew/);
      await assert.rejects(messages.receive(), { code: 'session-lost' });
      await up;
      await say('to the second');
      assert.equal(conversation.status.establishments, 2);
      assert.deepEqual(
        second.peers.map(({ name }) => name),
        ['red/red1'],
      );
    });

    test('one that listens and says goodbye: the reason is that it stops', async (t) => {
      const lab = await restartLab(t, transport);
      const first = lab.start('gray');
      const red = lab.start('red');
      let where = await lab.listen(first);
      red.locate('cluster', () => [where]);
      const peer = red.dial({ cluster: 'gray' }, lab.dialOptions);
      const messages = textOf(await peer.open({ protocol: 'echo' }));
      const { say } = speak(red, 'gray/gray1');
      await say('to the first');
      const down = once(peer, 'down');
      where = await lab.listen(lab.start('gray'));
      await first.close();
      assert.equal(((await down) as [RoutyError])[0].code, 'shutdown');
      await assert.rejects(messages.receive(), { code: 'session-lost' });
      await say('to the second');
    });
  });
}

/** A proxy on the way to a candidate. */
async function proxyTo(t: TestContext, { transport, address }: Candidate) {
  assert.ok(typeof address === 'object');
  const isUnix = address.kind === 'unix';
  const path = isUnix ? `${address.path}-proxy` : '';
  const proxy = await FaultProxy.start(
    isUnix ? { target: { path: address.path }, path } : { target: address },
  );
  t.after(() => proxy.close());
  const candidate: Candidate = {
    transport,
    address: isUnix ? { kind: 'unix', path } : { kind: 'tcp', host: proxy.host, port: proxy.port },
  };
  return Object.assign(proxy, { candidate });
}
