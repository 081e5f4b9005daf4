import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FrameType } from '../../../../packages/proto/src/wire/layout.ts';
import { parseReset } from '../../../../packages/proto/src/wire/payload.ts';
import { acceptFrame, dataFrame, frame, openFrame } from '../../../support/session/frames.ts';
import { Pair } from '../../../support/session/session-pair.ts';
import { established, open, REQUEST, type Rig } from '../../../support/session/session-rig.ts';

function connectionReset(stream: number, size: number): Uint8Array {
  return frame((writer) => writer.reset(stream, size, 'connection-reset', 'ECONNRESET'));
}

/** An open stream of the peer's of which 9 bytes came. */
function receiving(): Rig {
  const rig = established('dialler');
  rig.feed(openFrame(2, 100));
  rig.session.accept(2);
  rig.feed(dataFrame(2, 0, new Uint8Array(9)));
  rig.events();
  rig.sent();
  return rig;
}

/** What the two budgets still count. */
function used({ options }: Rig): number {
  return options.pools.send.used + options.pools.receive.used;
}

function lastReset(rig: Rig): unknown {
  const frames = rig.sent().filter((each) => each.type === FrameType.RESET);
  return frames.length === 1 ? parseReset(frames[0]!.payload).code : frames.length;
}

test('the reset of a connection is said at once, what it brought before follows within the credit', () => {
  const rig = established('dialler');
  const stream = open(rig);
  rig.feed(acceptFrame(stream, 8_200));
  rig.sent();
  rig.session.write(rig.nowMs, stream, new Uint8Array(8_192));
  rig.sent();
  rig.session.write(rig.nowMs, stream, new Uint8Array(250));
  rig.session.reset(stream, 'connection-reset', 'ECONNRESET');
  rig.events();
  const [reset, data, ...more] = rig.sent();
  assert.deepEqual([reset!.type, reset!.offset], [FrameType.RESET, 8_442]);
  assert.deepEqual([data!.type, data!.offset, data!.payload.length], [FrameType.DATA, 8_192, 8]);
  assert.equal(more.length, 0);
  rig.feed(frame((writer) => writer.credit(stream, 9_000, 8_200, 0)));
  assert.deepEqual(rig.sentNames(), [`DATA ${stream}`]);
  rig.feed(dataFrame(stream, 0, new Uint8Array(5)));
  assert.deepEqual(rig.kinds(), [], 'whoever was reset hears nothing more');
  rig.feed(frame((writer) => writer.reset(stream, 5, 'cancelled', '')));
  assert.deepEqual(rig.kinds(), []);
  assert.deepEqual([rig.session.streamCount, used(rig)], [0, 0]);
});

test('a half-close that came before the reset goes before it', () => {
  const rig = established('dialler');
  const stream = open(rig);
  rig.feed(acceptFrame(stream, 100));
  rig.sent();
  rig.session.write(rig.nowMs, stream, new Uint8Array(50));
  rig.session.end(stream);
  rig.session.reset(stream, 'connection-reset', 'EPIPE');
  assert.deepEqual(rig.sentNames(), [`DATA ${stream}`, `FIN ${stream}`, `RESET ${stream}`]);
});

test('the peer’s reset waits for the bytes before it, and its answer for their delivery', () => {
  const rig = receiving();
  rig.session.write(rig.nowMs, 2, new Uint8Array(500));
  rig.feed(connectionReset(2, 20));
  assert.deepEqual(rig.kinds(), []);
  assert.deepEqual(rig.sentNames(), [], 'what it wrote is not wanted any more');
  assert.equal(rig.session.write(rig.nowMs, 2, new Uint8Array(1)), false);
  assert.equal(rig.session.mayWrite(rig.nowMs, 2), false);
  rig.feed(dataFrame(2, 9, new Uint8Array(11)), connectionReset(2, 20));
  assert.deepEqual(rig.kinds(), ['data', 'reset']);
  assert.equal(lastReset(rig), 0);
  rig.session.delivered(rig.nowMs, 2, 19);
  assert.equal(lastReset(rig), 0);
  rig.session.delivered(rig.nowMs, 2, 1);
  assert.equal(lastReset(rig), 'cancelled');
  assert.deepEqual([rig.session.streamCount, used(rig)], [0, 0]);
});

test('whoever does not take what came before a reset gives it up', () => {
  const rig = receiving();
  rig.feed(connectionReset(2, 9));
  assert.deepEqual(rig.kinds(), ['reset']);
  rig.session.reset(2, 'connection-reset', 'nobody reads');
  assert.equal(lastReset(rig), 'cancelled');
  assert.equal(rig.session.streamCount, 0);
});

test('a reset before the stream was accepted ends it at once, and is answered', () => {
  const rig = established('dialler');
  rig.feed(openFrame(2, 100), connectionReset(2, 50_000));
  assert.deepEqual(rig.kinds(), ['opened', 'reset']);
  assert.equal(lastReset(rig), 'cancelled');
  rig.feed(connectionReset(4, 7), openFrame(4, 100));
  assert.deepEqual(rig.kinds(), [], 'it has overtaken OPEN');
  assert.equal(lastReset(rig), 'cancelled');
});

test('DATA beyond the size of a reset and a second size are refused', () => {
  for (const wrong of [dataFrame(2, 15, new Uint8Array(6)), connectionReset(2, 21)]) {
    const rig = receiving();
    rig.feed(connectionReset(2, 20), wrong);
    assert.match(rig.closed().reason, /^final-size/);
  }
});

test('resets of both connections that cross leave nothing', () => {
  const pair = new Pair();
  const stream = opened(pair);
  for (const rig of [pair.dialler, pair.acceptor]) {
    rig.session.write(rig.nowMs, stream, new Uint8Array(300_000));
    rig.session.reset(stream, 'connection-reset', 'ECONNRESET');
  }
  pair.exchange();
  for (const rig of [pair.dialler, pair.acceptor]) {
    assert.deepEqual([rig.session.streamCount, used(rig)], [0, 0]);
  }
});

test('bytes and the reset behind them survive the loss of their lane', () => {
  const pair = new Pair();
  const stream = opened(pair);
  pair.hold(1, 'dialler', 'acceptor');
  pair.dialler.session.write(pair.dialler.nowMs, stream, new Uint8Array(3_000));
  pair.dialler.session.reset(stream, 'connection-reset', 'ECONNRESET');
  pair.exchange();
  pair.cut(1, 'dialler', 'acceptor');
  pair.acceptorEvents.length = 0;
  const lane = pair.dial();
  const ends = pair.acceptorEvents.filter(({ kind }) => kind === 'data' || kind === 'reset');
  assert.deepEqual(
    ends.map(({ kind }) => kind),
    ['data', 'reset'],
  );
  // The answer is lost, too.
  pair.hold(lane, 'acceptor');
  pair.acceptor.session.delivered(pair.acceptor.nowMs, stream, 3_000);
  pair.exchange();
  assert.deepEqual([pair.acceptor.session.streamCount, used(pair.acceptor)], [0, 0]);
  assert.equal(pair.dialler.session.streamCount, 1);
  pair.cut(lane, 'dialler', 'acceptor');
  pair.dial();
  assert.deepEqual([pair.dialler.session.streamCount, used(pair.dialler)], [0, 0]);
});

/** A stream that the dialler opened and the acceptor has accepted. */
function opened(pair: Pair): number {
  const result = pair.dialler.session.open(pair.dialler.nowMs, REQUEST);
  assert.ok(result.ok);
  pair.exchange();
  pair.acceptor.session.accept(result.stream);
  pair.exchange();
  return result.stream;
}
