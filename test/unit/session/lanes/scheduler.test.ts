import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Budget } from '../../../../packages/proto/src/session/flow/budget.ts';
import { ReceiveWindow } from '../../../../packages/proto/src/session/flow/receive-window.ts';
import { Scheduler } from '../../../../packages/proto/src/session/lanes/scheduler.ts';
import { Stream } from '../../../../packages/proto/src/session/streams/stream.ts';
import { FrameType } from '../../../../packages/proto/src/wire/layout.ts';
import { acceptFrame, frame } from '../../../support/session/frames.ts';
import { established, open, type Rig } from '../../../support/session/session-rig.ts';

const KIB = 1024;

function streamWith(id: number, unsentBytes: number): Stream {
  const stream = new Stream(id, 'open', new ReceiveWindow(0, 0, new Budget(0), 0), 1e9);
  stream.send.push(new Uint8Array(unsentBytes));
  return stream;
}

function turns(scheduler: Scheduler<Stream>, count: number): number[] {
  const ids: number[] = [];
  for (let i = 0; i < count; i++) {
    const stream = scheduler.next();
    if (stream === undefined) break;
    ids.push(stream.id);
    scheduler.add(stream);
  }
  return ids;
}

test('streams take turns', () => {
  const scheduler = new Scheduler<Stream>();
  for (const id of [1, 3, 5]) scheduler.add(streamWith(id, 100 * KIB));
  assert.deepEqual(turns(scheduler, 7), [1, 3, 5, 1, 3, 5, 1]);
});

test('a stream waits once, however often it is added', () => {
  const scheduler = new Scheduler<Stream>();
  const stream = streamWith(1, 10);
  scheduler.add(stream);
  scheduler.add(stream);
  assert.equal(scheduler.next(), stream);
  assert.equal(scheduler.next(), undefined);
  assert.ok(scheduler.empty);
});

test('a parked stream has no turn here, and is the first for other lanes', () => {
  const scheduler = new Scheduler<Stream>();
  const [parked, other] = [streamWith(1, 100 * KIB), streamWith(3, 100 * KIB)];
  for (const stream of [parked, other]) scheduler.add(stream);
  scheduler.park(scheduler.next()!);
  assert.deepEqual([scheduler.next(), scheduler.next()], [other, undefined]);
  assert.deepEqual([scheduler.empty, scheduler.hasBulk], [true, true]);
  scheduler.add(other);
  assert.deepEqual([scheduler.nextBulk(), scheduler.nextBulk()], [parked, other]);
  scheduler.add(parked);
  scheduler.park(scheduler.next()!);
  scheduler.add(parked);
  assert.equal(scheduler.next(), parked, 'added again, it waits for its turn');
  scheduler.park(parked);
  scheduler.unpark(parked);
  assert.deepEqual([scheduler.hasBulk, parked.scheduledOn], [false, undefined]);
});

test('interactive streams go first, bulk gets one turn in nine', () => {
  const scheduler = new Scheduler<Stream>();
  scheduler.add(streamWith(1, 16 * KIB + 1));
  scheduler.add(streamWith(3, 16 * KIB));
  scheduler.add(streamWith(5, 1));
  const ids = turns(scheduler, 18);
  assert.deepEqual(ids, [3, 5, 3, 5, 3, 5, 3, 5, 1, 3, 5, 3, 5, 3, 5, 3, 5, 1]);
});

test('bulk alone is not held back, and interactive alone neither', () => {
  const bulk = new Scheduler<Stream>();
  bulk.add(streamWith(1, 100 * KIB));
  assert.deepEqual(turns(bulk, 3), [1, 1, 1]);
  const interactive = new Scheduler<Stream>();
  interactive.add(streamWith(1, 1));
  assert.equal(turns(interactive, 30).length, 30);
});

test('thousands of streams keep their order', () => {
  const scheduler = new Scheduler<Stream>();
  for (let id = 1; id <= 2_000; id++) scheduler.add(streamWith(id, 100 * KIB));
  const ids = turns(scheduler, 5_000);
  const order = ids.map((_, index) => (index % 2_000) + 1);
  assert.deepEqual(ids, order);
});

function bulkStream(rig: Rig): number {
  const stream = open(rig);
  rig.feed(acceptFrame(stream, 10_000_000));
  rig.session.write(rig.nowMs, stream, new Uint8Array(1_000_000));
  return stream;
}

test('control frames go before data, a turn is 64 KiB, and equal streams get equal shares', () => {
  const rig = established('dialler');
  const streams = [bulkStream(rig), bulkStream(rig), bulkStream(rig), bulkStream(rig)];
  rig.sent(1);
  const bytes = new Map<number, number>();
  for (let i = 0; i < 8; i++) {
    rig.feed(frame((writer) => writer.ping(i, i)));
    const frames = rig.sent(128 * KIB);
    assert.equal(frames[0]!.type, FrameType.PONG, 'before megabytes of data');
    for (const { type, stream, payload } of frames.slice(1)) {
      assert.equal(type, FrameType.DATA);
      assert.equal(payload.length, 64 * KIB);
      bytes.set(stream, (bytes.get(stream) ?? 0) + payload.length);
    }
  }
  assert.deepEqual(
    streams.map((stream) => bytes.get(stream)),
    Array(4).fill(4 * 64 * KIB),
  );
});

test('a few bytes of one stream pass megabytes of another', () => {
  const rig = established('dialler');
  bulkStream(rig);
  rig.sent(1);
  const small = open(rig);
  rig.session.write(rig.nowMs, small, new Uint8Array(64));
  const frames = rig.sent(64 * KIB);
  assert.deepEqual(
    frames.slice(0, 2).map((each) => [each.type, each.stream]),
    [
      [FrameType.OPEN, small],
      [FrameType.DATA, small],
    ],
  );
});

test('what is asked for is exceeded by less than one turn', () => {
  const rig = established('dialler');
  bulkStream(rig);
  rig.sent(1);
  const buffers = rig.session.pollTransmit(rig.lane, 100 * KIB)!;
  const total = buffers.reduce((sum, buffer) => sum + buffer.length, 0);
  assert.ok(total >= 100 * KIB && total < 165 * KIB, `${total}`);
});

test('a stream that goes while it waits for its turn is skipped', () => {
  const rig = established('dialler');
  const gone = bulkStream(rig);
  const stays = bulkStream(rig);
  rig.session.reset(gone, 'cancelled', 'enough');
  const streams = rig
    .sent(64 * KIB)
    .filter((each) => each.type === FrameType.DATA)
    .map((each) => each.stream);
  assert.deepEqual(streams, [stays]);
  rig.session.reset(stays, 'cancelled', 'enough');
  assert.deepEqual(rig.sentNames(), [`RESET ${stays}`]);
  assert.equal(rig.session.pollTransmit(rig.lane, 1_000), undefined);
});

test('figures count what was opened, sent and received', () => {
  const rig = established('dialler');
  const stream = open(rig);
  rig.session.write(rig.nowMs, stream, new Uint8Array(700));
  rig.sent();
  assert.deepEqual(
    { ...rig.session.totals },
    {
      ...{ opened: 1, refused: 0, refusedReason: '' },
      ...{ bytesSent: 700, bytesReceived: 0, bytesReplayed: 0 },
    },
  );
});
