import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { test } from 'node:test';
import { Registry } from 'prom-client';
import { registerStatistics } from '../../../packages/link/src/prometheus/index.ts';
import { OTHER_CLASS, Statistics, subscribe } from '../../../packages/link/src/stats/index.ts';

test('what ended stays in the sums of its class, and what is counted late too', () => {
  const statistics = new Statistics({ heartbeatIntervalMs: 100 });
  const meter = statistics.begin(0, 'conversation', 'fullsync', 'a');
  meter.sent(100);
  meter.rtt(5);
  meter.end();
  meter.end();
  meter.received(7, 2);
  const { meters, classes } = statistics.snapshot(50);
  assert.deepEqual(meters, []);
  assert.deepEqual([classes[0]!.live, classes[0]!.begun, classes[0]!.rttMs], [0, 1, 5]);
  assert.deepEqual(classes[0]!.counters, {
    bytesSent: 100,
    bytesReceived: 7,
    messagesSent: 1,
    messagesReceived: 2,
    retries: 0,
    drops: 0,
  });
});

test('a snapshot is of now where no time is said', () => {
  const statistics = new Statistics({ heartbeatIntervalMs: 100 });
  const before = performance.now();
  statistics.begin(before, 'stream', 'realtime', 'a');
  const { ageMs } = statistics.snapshot().meters[0]!;
  assert.ok(ageMs >= 0 && ageMs <= performance.now() - before, String(ageMs));
});

test('classes beyond the limit count as other', () => {
  const statistics = new Statistics({ heartbeatIntervalMs: 100, classesMax: 1 });
  for (const name of ['realtime', 'b', 'c']) statistics.begin(0, 'stream', name, name).sent(1);
  assert.deepEqual(
    statistics.snapshot(0).classes.map((sum) => [sum.class, sum.counters.bytesSent]),
    [
      ['realtime', 1],
      [OTHER_CLASS, 2],
    ],
  );
});

test('a rate is that of steady traffic and falls when there is none', () => {
  const statistics = new Statistics({ heartbeatIntervalMs: 100 });
  const meter = statistics.begin(0, 'stream', 'realtime', 'a');
  const rate = (nowMs: number) => statistics.snapshot(nowMs).classes[0]!.rates.bytesSent;
  let nowMs = 0;
  for (let i = 0; i < 10; i++) {
    meter.sent(50);
    nowMs += 100;
    assert.ok(Math.abs(rate(nowMs) - 500) < 1e-6, String(rate(nowMs)));
    assert.equal(rate(nowMs + 1), rate(nowMs));
  }
  for (const endMs = nowMs + 3000; nowMs < endMs; nowMs += 100) rate(nowMs);
  assert.ok(rate(nowMs) < 1, String(rate(nowMs)));
});

test('a counter takes nothing that is negative, not whole or not a number', () => {
  const statistics = new Statistics({ heartbeatIntervalMs: 100 });
  const meter = statistics.begin(0, 'stream', 'realtime', 'a');
  for (const by of [-1, 0.5, NaN, Infinity]) assert.throws(() => meter.sent(by), RangeError);
  assert.equal(statistics.snapshot(0).classes[0]!.counters.bytesSent, 0);
});

test('a subscription comes at the pace of heartbeats and ends with its signal', async () => {
  const statistics = new Statistics({ heartbeatIntervalMs: 5 });
  statistics.begin(performance.now(), 'session', 'realtime', 'a').sent(3);
  const controller = new AbortController();
  const seen: number[] = [];
  for await (const { classes } of subscribe(statistics, controller.signal)) {
    seen.push(classes[0]!.counters.bytesSent);
    if (seen.length === 3) setImmediate(() => controller.abort());
  }
  assert.ok(seen.length >= 3);
  for await (const _ of subscribe(statistics, controller.signal)) assert.fail('already aborted');
});

test('a subscription is neither faster nor slower than heartbeats', async () => {
  const statistics = new Statistics({ heartbeatIntervalMs: 20 });
  const controller = new AbortController();
  const beginMs = performance.now();
  let beats = 0;
  const beating = (async () => {
    for await (const _ of subscribe(statistics, controller.signal)) beats++;
  })();
  // Timers end in their order, however late they are.
  await new Promise((resolve) => setTimeout(resolve, 5 * statistics.heartbeatIntervalMs));
  assert.ok(beats >= 1, 'it has come by now');
  const most = (performance.now() - beginMs) / statistics.heartbeatIntervalMs;
  assert.ok(beats <= most, `${beats} in the time of ${most}`);
  controller.abort();
  await beating;
});

test('a subscription ends when nothing more will be counted, and leaves no listener', async () => {
  const over = new AbortController();
  const statistics = new Statistics({ heartbeatIntervalMs: 5, over: over.signal });
  const { signal } = new AbortController();
  let snapshots = 0;
  for await (const _ of subscribe(statistics, signal)) if (++snapshots === 2) over.abort();
  assert.equal(snapshots, 2);
  for await (const _ of subscribe(statistics, signal)) assert.fail('it is over');
  assert.deepEqual(getEventListeners(signal, 'abort'), []);
  assert.deepEqual(getEventListeners(over.signal, 'abort'), []);
});

test('prom-client shows the sums, the same however often it is asked', async () => {
  const statistics = new Statistics({ heartbeatIntervalMs: 100 });
  const registry = new Registry();
  registerStatistics(registry, statistics);
  const meter = statistics.begin(0, 'stream', 'handoff', 'a');
  meter.sent(9);
  meter.rtt(20);
  await registry.metrics();
  const text = await registry.metrics();
  assert.match(text, /^routy_link_sent_bytes_total\{kind="stream",class="handoff"\} 9$/m);
  assert.match(text, /^routy_link_live\{kind="stream",class="handoff"\} 1$/m);
  assert.match(text, /^routy_link_rtt_seconds\{kind="stream",class="handoff"\} 0.02$/m);
});
