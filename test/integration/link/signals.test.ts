import assert from 'node:assert/strict';
import { test } from 'node:test';
import { memoryLab, TEXT } from '../../support/link-lab.ts';

const MANY = 1000;

test('one signal ends whatever many have begun, and nobody is warned of its many listeners', async (t) => {
  const warnings: string[] = [];
  const onWarning = ({ message }: Error) => warnings.push(message);
  process.on('warning', onWarning);
  t.after(() => process.off('warning', onWarning));
  const lab = await memoryLab();
  const { signal, ...owner } = controller();
  const times = Array.from({ length: MANY }, (_, i) => i);
  for (const i of times) {
    lab.gray.protocol({ name: `p${i}`, accept: () => undefined }, { signal });
    lab.red.locate(`kind${i}`, () => [lab.at], { signal });
    await lab.gray.listen({ transport: 'memory', address: `gray-${i}` }, { signal });
  }
  const peer = await lab.red.dial(lab.at, { signal }).ready({ signal });
  for (const _ of times) lab.red.dial({ kind1: 'x' }, { signal });
  const waiting = times.flatMap(() => [
    lab.red.peer('blue/blue1', { signal }),
    lab.red.dial({ transport: 'memory', address: 'nowhere' }, { signal }).ready({ signal }),
    peer.ping({ signal }).then(() => Promise.reject(new Error('pinged'))),
    peer.open({ protocol: 'echo' }, { signal }).then(() => Promise.reject(new Error('opened'))),
  ]);
  const settled = Promise.allSettled(waiting);
  const conversations = times.map(() =>
    lab.red.converse<string>('gray/gray1', {
      ...{ protocol: 'echo', codecs: { 1: TEXT }, behaviour: {}, signal },
    }),
  );
  // With one peer, too.
  for (const _ of times) {
    lab.red.converse<string>(peer, { protocol: 'echo', codecs: { 1: TEXT }, behaviour: {} });
  }
  // Without a signal of their own, too.
  for (const _ of times) {
    lab.red.converse<string>('gray/gray1', {
      protocol: 'echo',
      codecs: { 1: TEXT },
      behaviour: {},
    });
  }
  await new Promise((resolve) => setImmediate(resolve));
  owner.abort();
  assert.ok((await settled).every(({ status }) => status === 'rejected'));
  await Promise.all(conversations.map(({ ended }) => ended));
  await lab.close();
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(warnings, []);
});

function controller(): { signal: AbortSignal; abort(): void } {
  const made = new AbortController();
  return { signal: made.signal, abort: () => made.abort() };
}
