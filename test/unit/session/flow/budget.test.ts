import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Budget } from '../../../../packages/proto/src/session/flow/budget.ts';
import { WINDOW_BYTES_MIN } from '../../../../packages/proto/src/session/flow/receive-window.ts';
import { parseReset } from '../../../../packages/proto/src/wire/payload.ts';
import { acceptFrame, frame, openFrame } from '../../../support/session/frames.ts';
import { established, open, REQUEST, type Rig } from '../../../support/session/session-rig.ts';

test('what is taken is taken from the parent too', () => {
  const parent = new Budget(100);
  const child = new Budget(80, parent);
  assert.ok(child.tryTake(60));
  assert.deepEqual([child.used, parent.used], [60, 60]);
  assert.ok(!child.tryTake(21), 'beyond its own limit');
  parent.take(30);
  assert.ok(!child.tryTake(11), 'beyond the limit of the parent');
  assert.ok(child.tryTake(10));
  child.release(70);
  assert.deepEqual([child.used, parent.used], [0, 30]);
});

test('room and shares look at both levels', () => {
  const parent = new Budget(100);
  const child = new Budget(80, parent);
  assert.ok(child.usedLessThan(0.5));
  parent.take(50);
  assert.ok(!child.usedLessThan(0.5));
  assert.ok(child.usedLessThan(0.51));
  assert.deepEqual([child.room, child.roomWithin(0.8)], [50, 30]);
  parent.take(50);
  assert.equal(child.room, 0);
  parent.release(100);
  child.take(90);
  assert.equal(child.room, -10, 'even past the limit');
  assert.ok(!child.usedLessThan(1));
});

function pools(send: number, receive: number) {
  return { send: new Budget(send), receive: new Budget(receive) };
}

test('streams beyond the number allowed are refused, on either side', () => {
  const rig = established('dialler', { streams: 2 });
  open(rig);
  rig.feed(openFrame(2, 100));
  const reason = '2 streams are open, the limit is 2';
  assert.deepEqual(rig.session.open(rig.nowMs, REQUEST), { ok: false, code: 'overload', reason });
  rig.sent();
  rig.feed(openFrame(4, 100));
  const [reset] = rig.sent();
  assert.deepEqual(parseReset(reset!.payload), { code: 'overload', reason });
  rig.session.reset(2, 'cancelled', 'room');
  rig.feed(openFrame(6, 100));
  assert.equal(rig.session.streamCount, 2);
});

test('streams for which there is no memory are refused until some is free', () => {
  const shared = pools(1e6, 2 * WINDOW_BYTES_MIN);
  const rig = established('dialler', { pools: shared });
  const first = open(rig);
  open(rig);
  const refusal = rig.session.open(rig.nowMs, REQUEST);
  assert.deepEqual(refusal, {
    ok: false,
    code: 'overload',
    reason: 'the buffer budget is used up',
  });
  rig.sent();
  rig.feed(openFrame(2, 100));
  const [reset] = rig.sent();
  assert.equal(parseReset(reset!.payload).code, 'overload');
  assert.equal(shared.receive.used, shared.receive.limit, 'never beyond');
  rig.session.reset(first, 'cancelled', 'room');
  rig.feed(openFrame(4, 100));
  assert.equal(rig.kinds().at(-1), 'opened');
});

test('OPENs that nobody has answered hold a window each, and no more than the budget', () => {
  const shared = pools(1e6, 100 * WINDOW_BYTES_MIN);
  const rig = established('dialler', { pools: shared });
  for (let id = 2; id <= 2000; id += 2) rig.feed(openFrame(id, 100));
  assert.equal(rig.session.streamCount, 100);
  assert.equal(rig.session.totals.refused, 900);
  assert.equal(shared.receive.used, shared.receive.limit);
  for (let id = 2; id <= 200; id += 2) rig.session.reset(id, 'target-timeout', 'nobody there');
  assert.equal(shared.receive.used, 0);
});

/** A stream with plenty of credit. */
function wideStream(rig: Rig): number {
  const stream = open(rig);
  rig.feed(acceptFrame(stream, 10_000_000));
  rig.events();
  return stream;
}

test('a writer pauses when the budget is used up, and goes on when bytes are acknowledged', () => {
  const rig = established('dialler', { pools: pools(50_000, 1e6) });
  const stream = wideStream(rig);
  assert.equal(rig.session.write(rig.nowMs, stream, new Uint8Array(49_999)), true);
  assert.equal(rig.session.write(rig.nowMs, stream, new Uint8Array(5_000)), false);
  assert.equal(rig.session.bufferedBytes, 54_999, 'nothing is dropped');
  rig.sent();
  rig.pass(1_000);
  assert.deepEqual(rig.kinds(), []);
  rig.feed(frame((writer) => writer.credit(stream, 10_000_000, 6_000, 0)));
  assert.deepEqual(rig.kinds(), ['writable']);
  rig.pass(1_000);
  assert.deepEqual(rig.kinds(), [], 'told once');
});

test('room that another session of the process makes is noticed too', () => {
  const shared = pools(100_000, 1e6);
  const rig = established('dialler', { pools: shared });
  const other = established('dialler', { pools: shared });
  const [mine, theirs] = [wideStream(rig), wideStream(other)];
  other.session.write(other.nowMs, theirs, new Uint8Array(100_000));
  assert.equal(rig.session.write(rig.nowMs, mine, new Uint8Array(1)), false);
  rig.pass(500);
  assert.deepEqual(rig.kinds(), []);
  other.session.reset(theirs, 'cancelled', 'room');
  rig.pass(20);
  assert.deepEqual(rig.kinds(), ['writable']);
});

test('a writer that waits for credit while the budget runs out is woken when there is room', () => {
  const shared = pools(100_000, 1e6);
  const rig = established('dialler', { pools: shared });
  const stream = open(rig);
  assert.equal(rig.session.write(rig.nowMs, stream, new Uint8Array(20_000)), false);
  shared.send.take(100_000);
  rig.feed(acceptFrame(stream, 10_000_000));
  assert.deepEqual(rig.kinds(), ['accepted'], 'credit, but no memory');
  rig.pass(100);
  shared.send.release(100_000);
  rig.pass(20);
  assert.deepEqual(rig.kinds(), ['writable']);
});

test('of many writers no more are told to go on than there is room for, each in its turn', () => {
  const shared = pools(1_000_000, 1e8);
  const rig = established('dialler', { pools: shared });
  const streams = Array.from({ length: 6 }, () => wideStream(rig));
  shared.send.take(1_000_000);
  for (const stream of streams) rig.session.write(rig.nowMs, stream, new Uint8Array(1));
  const woken: number[] = [];
  for (let round = 0; round < 3; round++) {
    shared.send.release(128 * 1024);
    rig.pass(20);
    const events = rig.events();
    assert.equal(events.length, 2, 'two times 64 KiB');
    for (const event of events) {
      assert.ok(event.kind === 'writable');
      woken.push(event.stream);
      rig.session.write(rig.nowMs, event.stream, new Uint8Array(64 * 1024));
    }
  }
  assert.deepEqual(woken, streams);
});

/** A stream with more credit than any peer has memory for. */
function greedyStream(rig: Rig): number {
  const stream = open(rig);
  rig.feed(acceptFrame(stream, 2 ** 52));
  rig.events();
  return stream;
}

/** Writes until the stream has to pause; returns how many bytes that were. */
function fill(rig: Rig, stream: number): number {
  const chunk = new Uint8Array(64 * 1024);
  let bytes = 0;
  if (!rig.session.mayWrite(rig.nowMs, stream)) return bytes;
  do bytes += chunk.length;
  while (rig.session.write(rig.nowMs, stream, chunk));
  return bytes;
}

test('a peer that grants everything and acknowledges nothing leaves half to the others', () => {
  const pool = 4 * 1024 * 1024;
  const shared = pools(pool, 1e8);
  const streamWindow = 256 * 1024;
  const hostile = established('dialler', { pools: shared, streamWindow });
  const honest = established('dialler', { pools: shared, streamWindow });
  const held = Array.from({ length: 16 }, () => fill(hostile, greedyStream(hostile)));
  assert.equal(held[0], 2 * streamWindow, 'two windows, whatever was granted');
  assert.ok(shared.send.used < pool / 2 + 16 * 64 * 1024);
  const stream = wideStream(honest);
  assert.equal(fill(honest, stream), 64 * 1024, 'little at a time');
  honest.sent();
  for (let n = 1; n < 20; n++) {
    honest.feed(frame((writer) => writer.credit(stream, 10_000_000, n * 64 * 1024, 0)));
    assert.deepEqual(honest.kinds(), ['writable'], 'and on with every acknowledgement');
    assert.equal(fill(honest, stream), 64 * 1024);
    honest.sent();
  }
});

test('bulk that waits for its half of the budget holds up nobody behind it', () => {
  const shared = pools(1_000_000, 1e8);
  const rig = established('dialler', { pools: shared });
  const [bulk, small] = [wideStream(rig), wideStream(rig)];
  assert.equal(fill(rig, bulk), 8 * 64 * 1024);
  shared.send.take(1_000_000);
  assert.equal(fill(rig, small), 0);
  shared.send.release(1_000_000);
  rig.pass(20);
  assert.deepEqual(rig.events(), [{ kind: 'writable', stream: small }]);
  rig.session.reset(small, 'cancelled', 'room');
  rig.pass(100);
  assert.deepEqual(rig.kinds(), []);
  rig.sent();
  rig.feed(frame((writer) => writer.credit(bulk, 10_000_000, 64 * 1024, 0)));
  assert.deepEqual(rig.events(), [{ kind: 'writable', stream: bulk }]);
});

test('a stream that holds all it may goes on with an acknowledgement, not with time', () => {
  const streamWindow = 64 * 1024;
  const rig = established('dialler', { streamWindow });
  const stream = wideStream(rig);
  assert.equal(fill(rig, stream), 2 * streamWindow);
  rig.sent();
  rig.pass(100);
  assert.deepEqual(rig.kinds(), []);
  rig.feed(frame((writer) => writer.credit(stream, 10_000_000, 1, 0)));
  assert.deepEqual(rig.kinds(), ['writable']);
});

test('a session’s own share ends before the process’s', () => {
  const rig = established('dialler', { sessionBuffer: 40_000 });
  const stream = wideStream(rig);
  assert.equal(rig.session.write(rig.nowMs, stream, new Uint8Array(19_999)), true);
  assert.equal(rig.session.write(rig.nowMs, stream, new Uint8Array(1)), false);
});

test('a budget that is used up pauses every writer of every session at once', () => {
  const shared = pools(1_000, 1e6);
  const told: string[] = [];
  const rigs = ['one', 'two'].map((name) =>
    established('dialler', { pools: shared, pauseWriters: () => told.push(name) }),
  );
  const [one, two] = rigs as [Rig, Rig];
  const writing = wideStream(one);
  const others = [wideStream(one), wideStream(two)];
  assert.ok(one.session.write(one.nowMs, writing, new Uint8Array(999)));
  assert.deepEqual(told, []);
  assert.ok(!one.session.write(one.nowMs, writing, new Uint8Array(1)));
  assert.deepEqual(told.sort(byName), ['one', 'two']);
  assert.ok(!one.session.mayWrite(one.nowMs, others[0]!));
  one.sent();
  one.feed(frame((writer) => writer.credit(writing, 10_000_000, 1_000, 0)));
  for (const rig of rigs) rig.pass(20);
  assert.deepEqual(one.kinds(), ['writable', 'writable']);
  assert.deepEqual(two.kinds(), ['writable']);
  two.session.close(two.nowMs, 'normal', 'done');
  assert.ok(!one.session.write(one.nowMs, writing, new Uint8Array(1_000)));
  assert.deepEqual(told.sort(byName), ['one', 'one', 'two'], 'a closed session is told nothing');
});

test('a paused stream that goes leaves no timer', () => {
  const rig = established('dialler', { pools: pools(10, 1e6) });
  const stream = wideStream(rig);
  assert.equal(rig.session.write(rig.nowMs, stream, new Uint8Array(10)), false);
  assert.equal(rig.session.pollTimeout(), rig.nowMs + 20);
  rig.session.reset(stream, 'cancelled', 'enough');
  assert.equal(rig.session.pollTimeout(), rig.nowMs + 5_000, 'the next heartbeat');
});

test('a peer that asks faster than it reads the answers is closed', () => {
  const rig = established('acceptor');
  const pings = frame((writer) => {
    for (let i = 0; i < 10_000; i++) writer.ping(i, i);
  });
  for (let i = 0; i < 100 && !rig.session.closed; i++) rig.feed(pings);
  const closed = rig.closed();
  assert.equal(closed.code, 'overload');
  assert.equal(closed.reason, 'the peer asks faster than it reads the answers');
});

function byName(one: string, other: string): number {
  return one.localeCompare(other);
}
