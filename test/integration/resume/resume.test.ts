import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FaultProxy } from '../../support/faults/fault-proxy.ts';
import { exchangeEnd, exchangeProgress, finishExchange } from '../../support/tcp-tools/exchange.ts';
import { credentials, LabNode } from '../../support/nodes/node-lab.ts';
import { until } from '../../support/sockets/loopback.ts';
import {
  assertReset,
  assertWhole,
  sessionIds,
  startResumeLab,
  startStream,
  untilBoth,
} from './resume-lab.ts';

const BYTES = 8_000_000;
/** Slow enough that the fault meets it in the middle. */
const BYTES_PER_SECOND = 8_000_000;
const ENDLESS = Number.MAX_SAFE_INTEGER;
/** Three heartbeats of 100 ms and a little more. */
const DEAD_MS = 600;

/** The fault happens while bytes flow both ways; every byte has to come, once, on the same session. */
async function outlives(
  t: TestContext,
  fault: (proxy: FaultProxy) => Promise<void>,
): Promise<FaultProxy> {
  const lab = await startResumeLab(t, { sendBytes: BYTES });
  const { proxy, gray } = lab;
  const before = sessionIds(lab);
  proxy.setFaults('both', { bytesPerSecond: BYTES_PER_SECOND });
  const ends = await startStream(lab, { sendBytes: BYTES });
  await untilBoth(ends, 500_000);
  await fault(proxy);
  proxy.setFaults('both', { bytesPerSecond: null });
  await assertWhole(ends, { up: BYTES, down: BYTES });
  assert.deepEqual(sessionIds(lab), before);
  assert.equal(gray.forward('red/exchange').opened, 1);
  return proxy;
}

test('a stream outlives a reset that loses what was under way', async (t) => {
  const proxy = await outlives(t, async (faulty) => {
    assert.ok((await faulty.cut({ how: 'reset', tailBytes: 20_000, tailMs: 1_000 })) >= 20_000);
  });
  assert.ok(proxy.counters().lostBytes >= 20_000);
});

test('a stream outlives a lane that ends as if in order', async (t) => {
  await outlives(t, async (proxy) => {
    assert.ok((await proxy.cut({ how: 'close', tailBytes: 20_000, tailMs: 1_000 })) >= 20_000);
  });
});

test('a stream outlives a stall of both directions', async (t) => {
  await outlives(t, async (proxy) => {
    proxy.setFaults('both', { stalled: true });
    await sleep(DEAD_MS);
    proxy.setFaults('both', { stalled: false });
  });
});

for (const direction of ['up', 'down'] as const) {
  test(`a stream outlives a stall of what goes ${direction}`, async (t) => {
    await outlives(t, async (proxy) => {
      proxy.setFaults(direction, { stalled: true });
      await sleep(DEAD_MS);
      proxy.setFaults(direction, { stalled: false });
    });
  });

  test(`a stream outlives a bit that is turned on its way ${direction}`, async (t) => {
    const proxy = await outlives(t, async (faulty) => {
      faulty.corrupt(direction);
      await until('a bit was turned', () => faulty.counters().corruptedBytes > 0);
    });
    assert.ok(proxy.counters().connections > 1, 'the lane survived a corrupt byte');
  });
}

for (const [side, who] of [
  ['client', 'the dialler'],
  ['target', 'the listener'],
] as const) {
  test(`a stream outlives lanes that only ${who} knows to be dead`, async (t) => {
    const proxy = await outlives(t, async (faulty) => {
      faulty.halfOpen(side);
      await Promise.resolve();
    });
    assert.ok(proxy.counters().halfOpened > 0);
    // What nobody talks to any more is closed, too: no lane is kept beside those of the session.
    await until('the dead lanes are closed on both ends', () => {
      const { open, connections, halfOpened } = proxy.counters();
      return open <= connections - halfOpened;
    });
  });
}

test('a stream outlives a listener that refuses for a while', async (t) => {
  await outlives(t, async (proxy) => {
    proxy.refuse();
    await proxy.cut({ how: 'reset' });
    await sleep(1_000);
    await proxy.accept();
  });
});

test('a stream outlives 20 cuts in a row', async (t) => {
  await outlives(t, async (proxy) => {
    for (let cut = 0; cut < 20; cut += 1) {
      const { connections } = proxy.counters();
      await proxy.cut({ how: cut % 2 === 0 ? 'reset' : 'close' });
      await until('a new lane comes', () => proxy.counters().connections > connections);
      // At any moment of the handshakes, or after them.
      await sleep(randomInt(0, 60));
    }
  });
});

test('a half-close that was lost with its lane arrives by the next', async (t) => {
  const lab = await startResumeLab(t, { sendBytes: 1_000 });
  const { proxy } = lab;
  const ends = await startStream(lab, { sendBytes: ENDLESS, bytesPerSecond: 1_000_000 });
  await untilBoth(ends, 1_000);
  proxy.setFaults('down', { stalled: true });
  const held = (): number => {
    const { acceptedBytes, deliveredBytes } = proxy.counters();
    return acceptedBytes.down - deliveredBytes.down;
  };
  await until('bytes of the stream are held', () => held() > 10_000);
  finishExchange({ handle: ends.client });
  const { sent } = exchangeProgress({ handle: ends.client });
  const before = held();
  await until('what came after them is held, too', () => held() > before);
  await proxy.cut({ how: 'reset' });
  proxy.setFaults('down', { stalled: false });
  await assertWhole(ends, { up: sent, down: 1_000 });
});

test('a session that is not back in time is reset, never ended', async (t) => {
  const lab = await startResumeLab(t, { sendBytes: BYTES, fabric: { resume_time: '"300ms"' } });
  lab.proxy.setFaults('both', { bytesPerSecond: 1_000_000 });
  const ends = await startStream(lab, { sendBytes: BYTES });
  await untilBoth(ends, 100_000);
  lab.proxy.refuse();
  const startMs = performance.now();
  await lab.proxy.cut({ how: 'reset' });
  await assertReset(ends);
  const ms = performance.now() - startMs;
  assert.ok(ms >= 250, `reset after only ${ms} ms`);
  await lab.proxy.accept();
  lab.proxy.setFaults('both', { bytesPerSecond: null });
  await lab.gray.reach('red/exchange');
  const again = await startStream(lab, { sendBytes: 1_000 });
  await assertWhole(again, { up: 1_000, down: BYTES });
});

test('with resume_time 0s a lost lane is a lost stream', async (t) => {
  const lab = await startResumeLab(t, { sendBytes: BYTES, fabric: { resume_time: '"0s"' } });
  lab.proxy.setFaults('both', { bytesPerSecond: 1_000_000 });
  const ends = await startStream(lab, { sendBytes: BYTES });
  await untilBoth(ends, 100_000);
  await lab.proxy.cut({ how: 'reset' });
  await assertReset(ends);
});

test('a peer that has started anew knows nothing: its streams are reset at once', async (t) => {
  const lab = await startResumeLab(t, { sendBytes: BYTES });
  lab.proxy.setFaults('both', { bytesPerSecond: 1_000_000 });
  const { client, server } = await startStream(lab, { sendBytes: BYTES });
  await untilBoth({ client, server }, 100_000);
  const { lanes } = lab.gray;
  lab.proxy.refuse();
  await lab.proxy.cut({ how: 'reset' });
  await lab.gray.stop();
  const startMs = performance.now();
  const second = await LabNode.start(
    await credentials('gray'),
    lab.toml.gray.replace('127.0.0.1:0', lanes),
  );
  t.after(() => second.stop());
  await lab.proxy.accept();
  const { outcome } = await exchangeEnd({ handle: server });
  assert.equal(outcome, 'ECONNRESET');
  // Long before resume_time, which is 60 s.
  assert.ok(performance.now() - startMs < 10_000);
});

test('who may open a service is asked again when a session comes back', async (t) => {
  const lab = await startResumeLab(t, { sendBytes: BYTES });
  lab.proxy.setFaults('both', { bytesPerSecond: 1_000_000 });
  const ends = await startStream(lab, { sendBytes: BYTES });
  await untilBoth(ends, 100_000);
  lab.proxy.refuse();
  await lab.proxy.cut({ how: 'reset' });
  await lab.red.reload(lab.toml.red.replace('allow = ["gray"]', 'allow = ["blue"]'));
  await lab.proxy.accept();
  await assertReset(ends);
});
