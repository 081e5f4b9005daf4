import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { describe, test } from 'node:test';
import { createLink } from '../../packages/link/src/index.ts';
import { until } from '../support/lane-pair.ts';
import { identity, memoryLab, TEXT } from '../support/link-lab.ts';

const TIMEOUT = { timeout: 30_000 };

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
