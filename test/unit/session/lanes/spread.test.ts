import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FrameType } from '../../../../packages/proto/src/wire/layout.ts';
import {
  acceptFrame,
  dataFrame,
  frame,
  openFrame,
  resumeFrame,
  resumeStream,
} from '../../../support/session/frames.ts';
import { established, open, type Rig } from '../../../support/session/session-rig.ts';

const TURN = 64 * 1024;

/** The PING that is due on the lane is answered after so long. */
function measure(rig: Rig, lane: number, rttMs: number): void {
  rig.sent(undefined, lane);
  rig.nowMs += 5_000;
  rig.session.handleTimeout(rig.nowMs);
  const ping = rig.sent(undefined, lane).find((each) => each.type === FrameType.PING)!;
  rig.nowMs += rttMs;
  rig.feedOn(
    lane,
    frame((writer) => writer.pong(ping.offset, 0, 0, 0)),
  );
  rig.events();
}

/** A dialler with a bulk stream on lane 1 and an idle lane 2 of that RTT. */
function bulk(rttMs: number, accepted = true): Rig {
  const rig = established('dialler');
  const stream = open(rig);
  rig.add();
  measure(rig, 2, rttMs);
  if (accepted) rig.feedOn(1, acceptFrame(stream, 100_000_000));
  rig.session.write(rig.nowMs, stream, new Uint8Array(50 * TURN));
  rig.sent(1, 1);
  rig.events();
  return rig;
}

function data(rig: Rig, lane: number, bytesMax = TURN): [number, number][] {
  return rig
    .sent(bytesMax, lane)
    .filter((each) => each.type === FrameType.DATA)
    .map((each) => [each.offset, each.payload.length]);
}

test('on a long path a bulk stream takes turns on a lane that is home to none', () => {
  const rig = bulk(2);
  const [first] = data(rig, 1);
  const offsets = [first, ...data(rig, 2), ...data(rig, 1), ...data(rig, 2, 2 * TURN)];
  const from = first![0];
  assert.deepEqual(
    offsets,
    [0, 1, 2, 3, 4].map((turn) => [from + turn * TURN, TURN]),
  );
  const lanes = rig.session.lanes();
  assert.deepEqual([lanes[0]!.streams, lanes[1]!.streams], [1, 0]);
  assert.equal(lanes[1]!.bytesSent, 3 * TURN);
});

test('a path that was shorter once is not long', () => {
  const rig = bulk(1.9);
  assert.deepEqual(data(rig, 2), []);
  measure(rig, 2, 50);
  assert.deepEqual(data(rig, 2), [], 'queues make it look so');
});

test('a lane that is home to a stream takes no turns of others', () => {
  const rig = bulk(50);
  for (let i = 0; i < 20 && rig.session.lanes()[1]!.streams === 0; i++) open(rig);
  assert.equal(rig.session.lanes()[1]!.streams, 1);
  assert.deepEqual(data(rig, 2), []);
});

test('a stream that the peer may not know yet stays on its lane', () => {
  const rig = established('dialler');
  rig.feed(openFrame(2, 100_000_000));
  rig.session.accept(2);
  rig.session.write(rig.nowMs, 2, new Uint8Array(50 * TURN));
  rig.add();
  measure(rig, 2, 50);
  assert.deepEqual(data(rig, 2), [], 'ACCEPT may be overtaken');
  rig.feedOn(
    1,
    frame((writer) => writer.credit(2, 100_000_000, 0, 0)),
  );
  assert.equal(data(rig, 2).length, 1);
});

test('less than half a turn is not worth another lane', () => {
  const rig = established('dialler');
  const stream = open(rig);
  rig.add();
  measure(rig, 2, 50);
  rig.feedOn(1, acceptFrame(stream, 100_000_000));
  rig.session.write(rig.nowMs, stream, new Uint8Array(TURN / 2 - 1));
  assert.deepEqual(data(rig, 2), []);
  assert.deepEqual(data(rig, 1), [[0, TURN / 2 - 1]]);
  rig.session.write(rig.nowMs, stream, new Uint8Array(TURN / 2));
  assert.deepEqual(data(rig, 2), [[TURN / 2 - 1, TURN / 2]]);
});

/** A stream with a window of 16 turns and plenty to send, whose first turn lane 2 has taken. */
function windowed(): { rig: Rig; stream: number } {
  const rig = established('dialler');
  const stream = open(rig);
  rig.add();
  measure(rig, 2, 50);
  rig.feedOn(1, acceptFrame(stream, 16 * TURN));
  rig.session.write(rig.nowMs, stream, new Uint8Array(50 * TURN));
  assert.deepEqual(data(rig, 2), [[0, TURN]]);
  return { rig, stream };
}

function credit(stream: number, turns: number): Uint8Array {
  return frame((writer) => writer.credit(stream, (16 + turns) * TURN, turns * TURN, 0));
}

test('one lane does not take the whole window: the rest is for the others', () => {
  const { rig, stream } = windowed();
  assert.equal(data(rig, 1, 100 * TURN).length, 12, 'one and a half times its half');
  assert.deepEqual(data(rig, 1, 100 * TURN), []);
  assert.equal(data(rig, 2, 100 * TURN).length, 3);
  rig.feedOn(1, credit(stream, 2));
  assert.deepEqual(data(rig, 1, 100 * TURN), [[16 * TURN, TURN]], 'one turn of its own was taken');
  assert.equal(data(rig, 2, 100 * TURN).length, 1);
});

test('a lane that is full of a stream has it all when no other carries it any more', () => {
  const { rig, stream } = windowed();
  data(rig, 1, 100 * TURN);
  for (let i = 0; i < 20 && rig.session.lanes()[1]!.streams === 0; i++) open(rig);
  rig.feedOn(1, credit(stream, 1));
  assert.equal(data(rig, 1, 100 * TURN).length, 4);
});

test('a stream that waits for other lanes can be reset, and can lose its lane', () => {
  const { rig, stream } = windowed();
  data(rig, 1, 100 * TURN);
  rig.session.reset(stream, 'cancelled', 'enough');
  assert.deepEqual(data(rig, 2, 100 * TURN), []);
  const other = windowed();
  data(other.rig, 1, 100 * TURN);
  other.rig.lose(1);
  assert.deepEqual(data(other.rig, 2, 100 * TURN), [], 'it is stale');
});

test('the writer of a stream on several lanes may be a little ahead of its credit', () => {
  const { rig, stream } = windowed();
  const write = (bytes: number) => rig.session.write(rig.nowMs, stream, new Uint8Array(bytes));
  assert.equal(write(1), false, '50 turns are far ahead');
  assert.equal(data(rig, 2).length, 1);
  rig.feedOn(
    1,
    frame((writer) => writer.credit(stream, 50 * TURN, TURN, 0)),
  );
  assert.equal(write(4 * TURN - 2), true);
  assert.equal(write(1), false);
});

/** A stream whose last byte so far went out on lane 2, which the peer never answers a PING on. */
function probing(): Rig {
  const rig = bulk(50);
  data(rig, 1);
  assert.equal(data(rig, 2).length, 1);
  return rig;
}

/** For a while the peer answers on the lane `home` alone, and sends something on both. */
function aliveButUnanswered(rig: Rig, home: number, step: (i: number) => void): void {
  for (let i = 0; i < 20; i++) {
    rig.pass(1_000);
    const pings = rig.sent(0, home).filter((each) => each.type === FrameType.PING);
    const pongs = pings.map(({ offset }) => frame((writer) => writer.pong(offset, 0, 0, 0)));
    const ping = frame((writer) => writer.ping(1, 1));
    rig.feedOn(home, ...pongs, ping);
    rig.feedOn(3 - home, ping);
    step(i);
  }
}

test('bytes carried for a stream of another lane prove the lane once they are acknowledged', () => {
  const rig = probing();
  let sent = rig.session.totals.bytesSent;
  aliveButUnanswered(rig, 1, () => {
    rig.feedOn(
      1,
      frame((writer) => writer.credit(1, 100_000_000, sent, 0)),
    );
    data(rig, 2);
    sent = rig.session.totals.bytesSent;
  });
  assert.equal(rig.session.laneCount, 2);
});

test('bytes that are not acknowledged up to those prove nothing', () => {
  const rig = probing();
  const sent = rig.session.totals.bytesSent;
  aliveButUnanswered(rig, 1, (i) => {
    rig.feedOn(
      1,
      frame((writer) => writer.credit(1, 100_000_000, sent - 100 + i, 0)),
    );
  });
  const closed = rig.events().filter((event) => event.kind === 'lane-closed');
  assert.deepEqual(
    closed.map(({ lane, reason }) => [lane, reason]),
    [[2, 'no answer to heartbeats for 15 s']],
  );
});

test('a stream that is gone leaves room for a proof by another', () => {
  const rig = probing();
  const before = rig.session.totals.bytesSent;
  const next = open(rig);
  rig.session.reset(1, 'cancelled', 'enough');
  rig.feedOn(1, acceptFrame(next, 100_000_000));
  const home = rig.session.lanes().find((lane) => lane.streams === 1)!.lane;
  measure(rig, 3 - home, 50);
  rig.session.write(rig.nowMs, next, new Uint8Array(50 * TURN));
  data(rig, home);
  data(rig, 3 - home);
  aliveButUnanswered(rig, home, () => {
    const delivered = rig.session.totals.bytesSent - before;
    rig.feedOn(
      home,
      frame((writer) => writer.credit(next, 100_000_000, delivered, 0)),
    );
    data(rig, 3 - home);
  });
  assert.equal(rig.session.laneCount, 2);
});

test('the loss of a lane that only carried turns makes the stream wait, then replay the hole', () => {
  const rig = bulk(50);
  const [[first]] = data(rig, 1) as [[number, number]];
  const [[second]] = data(rig, 2) as [[number, number]];
  data(rig, 1);
  rig.lose(2);
  assert.deepEqual(data(rig, 1), []);
  rig.feedOn(
    1,
    resumeFrame((writer) => {
      writer.opened(1, 0);
      writer.stream(resumeStream(1, { received: second, delivered: first, limit: 100_000_000 }));
    }),
  );
  assert.equal(data(rig, 1)[0]![0], second);
});

test('bytes that come over two lanes are put together, and counted while they wait', () => {
  const rig = established('dialler');
  rig.add();
  rig.feedOn(1, openFrame(2, 100));
  rig.session.accept(2);
  const bytes = Uint8Array.from({ length: 30 }, (_, i) => i);
  rig.events();
  rig.feedOn(2, dataFrame(2, 20, bytes.subarray(20)), dataFrame(2, 10, bytes.subarray(10, 20)));
  assert.deepEqual(rig.kinds(), []);
  assert.deepEqual(rig.session.memory(), {
    replayBytes: 0,
    reassemblyBytes: 20,
    streamReplayBytesMax: 0,
    streamReassemblyBytesMax: 20,
  });
  assert.equal(rig.session.bufferedBytes, 20);
  rig.feedOn(1, dataFrame(2, 0, bytes.subarray(0, 15)));
  const pieces = rig.events().flatMap((event) => (event.kind === 'data' ? [...event.bytes] : []));
  assert.deepEqual(pieces, [...bytes]);
  assert.equal(rig.session.memory().reassemblyBytes, 0);
  assert.equal(rig.session.bufferedBytes, 30);
  assert.equal(rig.session.totals.bytesReceived, 30);
  rig.session.delivered(rig.nowMs, 2, 30);
  assert.equal(rig.session.bufferedBytes, 0);
});

test('what waits for a gap is forgotten with its stream', () => {
  const rig = established('dialler');
  rig.feed(openFrame(2, 100), dataFrame(2, 20, new Uint8Array(10)));
  open(rig);
  rig.session.write(rig.nowMs, 1, new Uint8Array(500));
  rig.session.write(rig.nowMs, open(rig), new Uint8Array(300));
  assert.deepEqual(rig.session.memory(), {
    replayBytes: 800,
    reassemblyBytes: 10,
    streamReplayBytesMax: 500,
    streamReassemblyBytesMax: 10,
  });
  rig.session.reset(2, 'cancelled', 'enough');
  rig.session.reset(1, 'cancelled', 'enough');
  assert.deepEqual(rig.session.memory(), {
    replayBytes: 300,
    reassemblyBytes: 0,
    streamReplayBytesMax: 300,
    streamReassemblyBytesMax: 0,
  });
});

test('so many gaps that they cost more than they hold break the protocol', () => {
  const rig = established('dialler');
  rig.feed(openFrame(2, 100));
  rig.session.accept(2);
  const frames = Array.from({ length: 65 }, (_, i) => dataFrame(2, 2 * i + 1, Uint8Array.of(1)));
  rig.feed(...frames);
  assert.match(rig.closed().reason, /^reassembly: /);
});
