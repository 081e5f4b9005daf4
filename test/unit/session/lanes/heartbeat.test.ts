import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Heartbeat } from '../../../../packages/proto/src/session/lanes/heartbeat.ts';
import { FrameType } from '../../../../packages/proto/src/wire/layout.ts';
import { acceptFrame, frame } from '../../../support/session/frames.ts';
import { Pair } from '../../../support/session/session-pair.ts';
import { established, open, Rig, WALL_OFFSET_MS } from '../../../support/session/session-rig.ts';

const INTERVAL_MS = 5_000;
const MISSES = 3;

test('a PING is due at once, a few times more soon, and then every interval', () => {
  const heartbeat = new Heartbeat(INTERVAL_MS, MISSES, 100);
  const sentAtMs: number[] = [];
  for (let nowMs = 0; nowMs < 12_000; nowMs += 50) {
    if (!heartbeat.pingDue(nowMs)) continue;
    heartbeat.ping(nowMs, sentAtMs.push(nowMs));
  }
  assert.deepEqual(sentAtMs, [100, 200, 300, 400, 5_400, 10_400]);
});

test('a short interval is never exceeded by the first PINGs', () => {
  const heartbeat = new Heartbeat(20, MISSES, 0);
  heartbeat.ping(0, 1);
  assert.equal(heartbeat.deadlineMs, 20);
});

test('RTT leaves out what the peer took; the offset is that of RFC 5905', () => {
  const heartbeat = new Heartbeat(INTERVAL_MS, MISSES, 0);
  assert.equal(heartbeat.rttMs, undefined);
  assert.equal(heartbeat.clockOffsetMs, undefined);
  heartbeat.ping(0, 7);
  // 30 ms there, 4 ms at the peer, 10 ms back; the peer's clock is 1000 ms ahead.
  const sample = heartbeat.pong(44, 7, 0, 1_030_000, 1_034_000, 44_000);
  assert.deepEqual(sample, { sequence: 7, rttMs: 40, clockOffsetMs: 1_010 });
  assert.equal(heartbeat.rttMs, 40);
  assert.equal(heartbeat.clockOffsetMs, 1_010);
});

test('the offset is that of the fastest of the last 8 samples, the RTT that of the last', () => {
  const heartbeat = new Heartbeat(INTERVAL_MS, MISSES, 0);
  const measure = (rttMs: number, offsetMs: number) => {
    heartbeat.ping(0, 7);
    const middle = (rttMs / 2 + offsetMs) * 1000;
    heartbeat.pong(rttMs, 7, 0, middle, middle, rttMs * 1000);
  };
  measure(2, 77);
  measure(50, 99);
  assert.deepEqual([heartbeat.rttMs, heartbeat.rttMinMs, heartbeat.clockOffsetMs], [50, 2, 77]);
  for (let i = 0; i < 7; i++) measure(20 + i, 80 + i);
  assert.deepEqual([heartbeat.rttMs, heartbeat.rttMinMs, heartbeat.clockOffsetMs], [26, 20, 80]);
  assert.equal(heartbeat.rttFloorMs, 2, 'the smallest ever is kept apart');
});

test('an RTT is never below zero, whatever the peer says', () => {
  const heartbeat = new Heartbeat(INTERVAL_MS, MISSES, 0);
  heartbeat.ping(0, 7);
  assert.equal(heartbeat.pong(10, 7, 0, 0, 50_000, 10_000)?.rttMs, 0);
});

test('an answer nobody waits for is no proof', () => {
  const heartbeat = new Heartbeat(INTERVAL_MS, MISSES, 0);
  heartbeat.ping(0, 7);
  assert.equal(heartbeat.pong(10, 99, 0, 0, 0, 0), undefined);
  assert.ok(heartbeat.pong(10, 7, 0, 0, 0, 0));
  assert.equal(heartbeat.pong(20, 7, 0, 0, 0, 0), undefined, 'once only');
});

test('of many unanswered PINGs the oldest are forgotten', () => {
  const heartbeat = new Heartbeat(INTERVAL_MS, MISSES, 0);
  for (let i = 0; i < 65; i++) heartbeat.ping(i, i);
  assert.equal(heartbeat.pong(100, 0, 0, 0, 0, 0), undefined);
  assert.ok(heartbeat.pong(100, 1, 0, 0, 0, 0));
});

test('a lane is dead after interval x misses of silence, not before', () => {
  const heartbeat = new Heartbeat(INTERVAL_MS, MISSES, 0);
  assert.equal(heartbeat.deadReason(14_999), undefined);
  assert.equal(heartbeat.deadReason(15_000), 'nothing arrived for 15 s');
});

test('a lane on which bytes arrive and nothing is answered is dead too', () => {
  const heartbeat = new Heartbeat(INTERVAL_MS, MISSES, 0);
  for (let atMs = 0; atMs < 15_000; atMs += 1_000) {
    assert.equal(heartbeat.deadReason(atMs), undefined);
    heartbeat.inboundProof(atMs);
  }
  assert.equal(heartbeat.deadReason(15_000), 'no answer to heartbeats for 15 s');
});

test('a lane on which nothing arrives is dead, however much was acknowledged before', () => {
  const heartbeat = new Heartbeat(INTERVAL_MS, MISSES, 0);
  heartbeat.inboundProof(3_000);
  heartbeat.outboundProof(9_000);
  assert.equal(heartbeat.deadReason(17_999), undefined);
  assert.equal(heartbeat.deadReason(18_000), 'nothing arrived for 15 s');
});

test('an idle session exchanges heartbeats for ever and measures', () => {
  const pair = new Pair();
  for (let i = 0; i < 2_500; i++) pair.pass(100);
  for (const rig of [pair.dialler, pair.acceptor]) {
    assert.ok(rig.session.established);
    assert.equal(rig.session.rttMs, 0);
    assert.equal(rig.session.clockOffsetMs, 0);
  }
  const pongs = pair.diallerEvents.filter((event) => event.kind === 'pong');
  assert.equal(pongs.length, 53, '4 to begin with, then one every 5 s');
});

test('a silent lane is given up without a CLOSE', () => {
  const rig = established('dialler');
  rig.pass(14_999);
  assert.equal(rig.session.laneCount, 1);
  assert.deepEqual(rig.sentNames(), ['PING', 'PING']);
  rig.pass(1);
  const { code, reason, remote, abort, last } = rig.laneClosed();
  assert.deepEqual(
    [code, reason, remote],
    ['heartbeat-timeout', 'nothing arrived for 15 s', false],
  );
  assert.deepEqual([abort, last], [true, []]);
  assert.deepEqual(rig.sentNames(), []);
  assert.ok(rig.session.suspended);
});

test('a lane whose PINGs are not answered is given up although bytes arrive', () => {
  const rig = established('dialler');
  for (let i = 0; i < 15; i++) {
    assert.equal(rig.session.laneCount, 1);
    rig.feed(frame((writer) => writer.ping(1, 1)));
    rig.pass(1_000);
  }
  assert.equal(rig.laneClosed().reason, 'no answer to heartbeats for 15 s');
});

test('an acknowledgement that moves is as good as a PONG', () => {
  const rig = established('dialler');
  const stream = open(rig);
  rig.feed(acceptFrame(stream, 100_000));
  rig.session.write(rig.nowMs, stream, new Uint8Array(1_000));
  rig.sent();
  for (let i = 1; i <= 30; i++) {
    rig.feed(frame((writer) => writer.credit(stream, 100_000, 10 * i, 0)));
    rig.pass(1_000);
  }
  assert.equal(rig.session.laneCount, 1);
  for (let i = 0; i < 15; i++) {
    rig.feed(frame((writer) => writer.credit(stream, 100_000, 300, 0)));
    rig.pass(1_000);
  }
  assert.equal(rig.laneClosed().reason, 'no answer to heartbeats for 15 s');
});

test('every lane has heartbeats of its own, and numbers that no other has', () => {
  const pair = new Pair();
  const { session } = pair.dialler;
  pair.dial();
  for (let i = 0; i < 40; i++) pair.pass(1_000);
  const numbers = pair.diallerEvents.flatMap((each) => (each.kind === 'pong' ? each.sequence : []));
  assert.equal(new Set(numbers).size, numbers.length);
  assert.equal(numbers.length, 2 * (4 + 7), '4 to begin with, then one every 5 s');
  pair.cut(1);
  for (let i = 0; i < 17; i++) pair.pass(1_000);
  assert.deepEqual(
    session.lanes().map(({ lane }) => lane),
    [2],
    'the silence of one is not the silence of the other',
  );
});

test('a PING by command takes the lane with the shortest path', () => {
  const rig = established('dialler');
  const [first, second] = [rig.lane, rig.join()];
  const measure = (lane: number, rttMs: number) => {
    rig.sent(undefined, lane);
    rig.session.handleTimeout(rig.nowMs);
    const [ping] = rig.sent(undefined, lane);
    rig.nowMs += rttMs;
    rig.feedOn(
      lane,
      frame((writer) => writer.pong(ping!.offset, 0, 0, 0)),
    );
  };
  rig.nowMs += 5_000;
  measure(first, 30);
  assert.equal(rig.session.rttMs, 30);
  let sequence = rig.session.ping(rig.nowMs);
  assert.equal(rig.sent(undefined, first).at(-1)!.offset, sequence, 'the other has no RTT yet');
  rig.nowMs += 5_000;
  measure(second, 20);
  assert.equal(rig.session.rttMs, 20);
  rig.sent(undefined, first);
  sequence = rig.session.ping(rig.nowMs);
  assert.equal(rig.sent(undefined, second).at(-1)!.offset, sequence);
  assert.deepEqual(rig.sentNames(first), []);
});

test('a PING is answered with its own clock and this side’s', () => {
  const rig = established('dialler');
  rig.feed(frame((writer) => writer.ping(42, 123_456)));
  const [pong] = rig.sent();
  assert.deepEqual([pong!.type, pong!.offset], [FrameType.PONG, 42]);
  const view = new DataView(pong!.payload.buffer);
  const clockUs = BigInt((rig.nowMs + WALL_OFFSET_MS) * 1000);
  assert.deepEqual(
    [0, 8, 16].map((at) => view.getBigUint64(at)),
    [123_456n, clockUs, clockUs],
  );
});

test('a PING by command is told apart by its number; without a lane there is none', () => {
  const pair = new Pair();
  const { session } = pair.dialler;
  const sequence = session.ping(pair.dialler.nowMs);
  pair.exchange();
  const pong = pair.diallerEvents.at(-1);
  assert.ok(pong?.kind === 'pong');
  assert.equal(pong.sequence, sequence);
  const fresh = new Rig('acceptor');
  assert.equal(fresh.session.ping(fresh.nowMs), 0);
  assert.deepEqual(fresh.sentNames(), []);
});

test('clocks before 1970 are 1970', () => {
  const rig = established('dialler');
  rig.session.wallOffsetMs = -1e15;
  rig.session.ping(rig.nowMs);
  const [ping] = rig.sent();
  assert.equal(new DataView(ping!.payload.buffer).getBigUint64(0), 0n);
});
