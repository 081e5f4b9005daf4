import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { getEventListeners, once } from 'node:events';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { createLink } from '../../../packages/link/src/index.ts';
import { until } from '../../support/lanes/lane-pair.ts';
import { identity, memoryLab, TEXT } from '../../support/link-lab.ts';

const TIMEOUT = { timeout: 120_000 };

const listenersOf = (signal: AbortSignal) => getEventListeners(signal, 'abort').length;

describe('a signal that outlives what it was given to is let go', TIMEOUT, () => {
  test('by everything that is over before it', async () => {
    const lab = await memoryLab();
    const { signal } = new AbortController();
    lab.gray.protocol({ name: 'idle', accept: () => undefined, reply: () => undefined });
    const peer = await lab.red.dial(lab.at, { signal }).ready({ signal });
    await lab.red.peer('gray/gray1', { signal });
    await peer.ping({ signal });
    const listener = await lab.red.listen({ transport: 'memory', address: 'red' }, { signal });
    await listener.close();
    for (const form of ['bytes', 'duplex', 'messages'] as const) {
      const stream = await peer.open({ protocol: 'idle' }, { signal });
      if (form === 'messages') stream.messages({ codecs: { 1: TEXT }, signal });
      else if (form === 'bytes') stream.bytes({ signal });
      else stream.duplex({ signal }).on('error', () => undefined);
      stream.reset();
    }
    (await peer.request({ protocol: 'idle' }, { signal })).reset();
    await assert.rejects(peer.open({ protocol: 'nothing' }, { signal }));
    await lab.red.drain({ signal });
    peer.close();
    await until('all is let go', () => listenersOf(signal) === 0);
    await lab.close();
  });

  test('by a link that is closed', async () => {
    const lab = await memoryLab();
    const { signal } = new AbortController();
    const blue = createLink({
      ...{ identity: identity('blue'), transports: { memory: lab.network.transport } },
    });
    blue.protocol({ name: 'idle', accept: () => undefined }, { signal });
    blue.locate('cluster', () => [lab.at], { signal });
    await blue.listen({ transport: 'memory', address: 'blue' }, { signal });
    blue.dial({ cluster: 'x' }, { signal });
    const { ended } = blue.converse<string>('gray/gray1', {
      ...{ protocol: 'echo', codecs: { 1: TEXT }, behaviour: {}, signal },
    });
    await blue.close({ signal });
    await ended;
    assert.equal(listenersOf(signal), 0);
    await lab.close();
  });
});

test(
  'a program ends by itself once its links are closed, whatever was under way',
  TIMEOUT,
  async () => {
    const main = fileURLToPath(new URL('./exit-process.ts', import.meta.url));
    const program = spawn(process.execPath, ['--import', 'tsx', main], { timeout: 100_000 });
    let output = '';
    for (const stream of [program.stdout, program.stderr]) {
      stream.on('data', (chunk) => {
        output += String(chunk);
      });
    }
    const [code, signal] = (await once(program, 'close')) as [number | null, string | null];
    assert.deepEqual([output, code, signal], ['closed\n', 0, null]);
  },
);

test(
  'two hundred cycles leave nothing behind: no handle, no timer, no stream, no peer',
  TIMEOUT,
  async () => {
    const lab = await memoryLab();
    const peer = await lab.red.dial(lab.at).ready();
    const cycle = async () => {
      const owner = new AbortController();
      const { signal } = owner;
      lab.red.locate('cluster', () => [lab.at], { signal });
      lab.red.protocol({ name: 'mine', accept: () => undefined }, { signal });
      const { ended } = lab.red.converse<string>(peer, {
        ...{ protocol: 'echo', codecs: { 1: TEXT }, behaviour: {}, signal },
      });
      const dialled = lab.red.dial({ cluster: 'x' }, { signal });
      await dialled.ready();
      owner.abort();
      await ended;
      assert.equal(dialled.state, 'closed');
    };
    const left = () => process.getActiveResourcesInfo().length;
    for (let i = 0; i < 10; i++) await cycle();
    await until('nothing is under way', () => lab.gray.peers.length === 1);
    const before = left();
    for (let i = 0; i < 200; i++) await cycle();
    await until('nothing is under way', () => lab.gray.peers.length === 1);
    await until('the timers are over', () => left() <= before);
    assert.deepEqual(lab.red.peers, [peer]);
    const live = lab.red.statistics.snapshot().classes.filter(({ live }) => live > 0);
    assert.deepEqual(
      live.map(({ kind, live }) => [kind, live]),
      [['session', 1]],
    );
    await lab.close();
  },
);

test('a link that is closed has stopped every interval that it began', TIMEOUT, async (t) => {
  const begun = t.mock.method(globalThis, 'setInterval');
  const stopped = t.mock.method(globalThis, 'clearInterval');
  const lab = await memoryLab();
  const peer = await lab.red.dial(lab.at).ready();
  (await peer.open({ protocol: 'echo' })).reset();
  await lab.close();
  const timers = begun.mock.calls.map(({ result }) => result);
  const ended = new Set(stopped.mock.calls.map(({ arguments: [timer] }) => timer));
  assert.ok(timers.length >= 2);
  assert.deepEqual(
    timers.filter((timer) => !ended.has(timer)),
    [],
  );
});
