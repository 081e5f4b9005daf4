import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FairPool } from '../../../../packages/proto/src/session/flow/fair-pool.ts';
import { FrameType } from '../../../../packages/proto/src/wire/layout.ts';
import { parseReset } from '../../../../packages/proto/src/wire/payload.ts';
import { acceptFrame, concat, frame, openFrame } from '../../../support/session/frames.ts';
import { established, open, type Rig } from '../../../support/session/session-rig.ts';

/** What the defaults are, for one direction. */
const HALF = 128 * 1024 * 1024;
const MIB = 1024 * 1024;

class Peers {
  readonly send = new FairPool(HALF);
  readonly receive = new FairPool(HALF);

  session(name: string): Rig {
    const pools = { send: this.send.of(name), receive: this.receive.of(name) };
    return established('acceptor', {
      pools,
      streams: 16_384,
      streamWindow: 8 * MIB,
      sessionBuffer: 2 * HALF,
    });
  }
}

/** Has the peer open idle streams until one is refused, and no more than `count`; how many it got. */
function openIdle(rig: Rig, count: number, first = 1): number {
  for (let n = 0; n < count; n++) {
    rig.feed(openFrame(first + 2 * n, 1));
    rig.session.accept(first + 2 * n);
    if (rig.session.totals.refused > 0) return n;
  }
  return count;
}

test('one peer may hold 10,000 idle streams with the default limits, and not refuse others', () => {
  const peers = new Peers();
  const hostile = peers.session('red/red1');
  const idle = openIdle(hostile, 16_384);
  assert.ok(idle >= 10_000, `${idle}`);
  assert.ok(idle < 12_000, `${idle}`);
  const refusal = hostile.sent().find(({ type }) => type === FrameType.RESET);
  assert.deepEqual(parseReset(refusal!.payload), {
    code: 'overload',
    reason: 'the buffer budget is used up',
  });
  for (let n = 0; n < 20; n++) {
    const honest = peers.session(`blue/blue${n}`);
    const got = openIdle(honest, 150);
    assert.equal(got, 150, `peer ${n} got ${got} streams`);
  }
  assert.ok(peers.receive.used <= HALF * 1.25);
});

test('several sessions of a peer have its share together', () => {
  const peers = new Peers();
  const idle = [1, 2, 3].map(() => openIdle(peers.session('red/red1'), 16_384));
  assert.ok(idle[1]! + idle[2]! < 300, idle.join(' '));
});

/** Streams with huge credit of which nothing is acknowledged, full. Bytes that the session holds. */
function stall(rig: Rig, streams: number): number {
  for (let n = 0; n < streams; n++) {
    const stream = open(rig);
    rig.feed(acceptFrame(stream, 2 ** 52));
    const chunk = new Uint8Array(64 * 1024);
    if (!rig.session.mayWrite(rig.nowMs, stream)) continue;
    while (rig.session.write(rig.nowMs, stream, chunk));
  }
  rig.events();
  rig.sent();
  return rig.session.share.usedBytes;
}

test('a peer that acknowledges nothing takes no share of another’s, suspended or not', () => {
  const peers = new Peers();
  const hostile = peers.session('red/red1');
  const held = stall(hostile, 20);
  assert.ok(held < 70 * MIB, `${held}`);
  hostile.lose();
  assert.ok(hostile.session.suspended);
  const honest = peers.session('blue/blue1');
  const stream = open(honest);
  honest.feed(acceptFrame(stream, 2 ** 52));
  const chunk = new Uint8Array(64 * 1024);
  let bytes = 0;
  do bytes += chunk.length;
  while (honest.session.write(honest.nowMs, stream, chunk));
  assert.equal(bytes, 16 * MIB, 'two windows: as if it were alone');
});

test('who is above its share gets nothing new until it has given back', () => {
  const peers = new Peers();
  const early = peers.session('red/red1');
  const share = early.options.pools.receive;
  const other = peers.receive.of('blue/blue1');
  other.attach(() => {});
  share.take(80 * MIB);
  other.take(20 * MIB);
  assert.ok(share.roomWithin(1) < 0);
  assert.equal(openIdle(early, 1), 0);
  share.release(30 * MIB);
  early.feed(openFrame(3, 1));
  assert.equal(early.session.totals.refused, 1);
  assert.equal(early.session.streamCount, 1);
});

test('frames of which a part has come count in the share of whoever sent it', () => {
  const peers = new Peers();
  const rig = peers.session('red/red1');
  const lanes = [rig.lane];
  while (lanes.length < 16) lanes.push(rig.add());
  const free = rig.session.share.usedBytes;
  const bytes = 200_000;
  const part = frame((writer) => writer.resume(0, new Uint8Array(bytes))).subarray(0, -1);
  // Payload that comes in two chunks is kept in one piece of its whole size.
  for (const lane of lanes) rig.feedOn(lane, part);
  const held = 16 * bytes - 2 * MIB;
  assert.equal(rig.session.share.usedBytes - free, held);
  assert.ok(held > MIB / 2, `${held}`);
  rig.session.close(rig.nowMs, 'normal', 'done');
  assert.equal(rig.session.share.usedBytes, 0);
});

test('ids that are ahead of others count in the share of whoever says them', () => {
  const peers = new Peers();
  const rig = peers.session('red/red1');
  const reset = (id: number) => frame((writer) => writer.reset(id, 0, 'cancelled', ''));
  // The first one is left out, so that none of the others can be forgotten.
  const ahead = Array.from({ length: 50_000 }, (_, n) => reset(3 + 2 * n));
  rig.feed(concat(ahead));
  assert.equal(rig.session.closed, false);
  assert.ok(rig.session.share.usedBytes > 0, `${rig.session.share.usedBytes}`);
  rig.feed(reset(1));
  assert.equal(rig.session.share.usedBytes, 0);
});

test('what a session has and may have is told', () => {
  const peers = new Peers();
  const rig = peers.session('red/red1');
  const { usedBytes, shareBytes } = rig.session.share;
  assert.equal(usedBytes, 0);
  assert.ok(shareBytes > 1.4 * HALF && shareBytes < 1.6 * HALF, `${shareBytes}`);
  rig.feed(frame((writer) => writer.ping(7, 1)));
  const stream = open(rig);
  rig.session.write(rig.nowMs, stream, new Uint8Array(1000));
  assert.equal(rig.session.share.usedBytes, 64 * 1024 + 1000);
});
