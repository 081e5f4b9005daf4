import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import type { LaneFaults } from '../../../packages/link/src/testing/memory-link.ts';
import { LaneRecorder } from '../../support/lanes/lane-pair.ts';
import { testMemoryLanes } from '../../support/lanes/memory-pair.ts';
import { VirtualTimers } from '../../support/virtual-timers.ts';

function rig(faults: LaneFaults = {}) {
  const timers = new VirtualTimers();
  const lanes = testMemoryLanes({ faults, timers });
  const here = new LaneRecorder();
  const there = new LaneRecorder();
  lanes.dialled.bind(here);
  lanes.accepted.bind(there);
  return { timers, lanes, here, there };
}

describe('faults of a memory lane', () => {
  test('latency: nothing before its time, everything at it', () => {
    const { timers, lanes, there } = rig({ latencyMs: 50 });
    lanes.dialled.write([new Uint8Array(100_000)]);
    timers.advance(49);
    assert.equal(there.bytes, 0);
    timers.advance(1);
    assert.equal(there.bytes, 100_000);
  });

  test('bandwidth: bytes arrive at the rate, and the queue shows it', () => {
    const { timers, lanes, there, here } = rig({ bytesPerSecond: 1_000_000 });
    assert.equal(lanes.dialled.write([new Uint8Array(2_000_000)]), false);
    timers.advance(500);
    assert.ok(Math.abs(there.bytes - 500_000) <= 16_384, `${there.bytes}`);
    assert.ok(lanes.dialled.queuedBytes > 1_400_000);
    // One more than 2 s in all, for fractions of a millisecond.
    timers.advance(1501);
    assert.equal(there.bytes, 2_000_000);
    assert.equal(here.drains, 1);
  });

  test('pieces: down to single bytes, and the content stays the same', () => {
    const sizes = [1, 3, 1, 7];
    let next = 0;
    const { timers, lanes, there } = rig({ chunkBytes: () => sizes[next++ % sizes.length]! });
    const data = randomBytes(5000);
    lanes.dialled.write([data.subarray(0, 10), data.subarray(10, 4000), data.subarray(4000)]);
    timers.run();
    assert.ok(there.received.equals(data));
    assert.ok(there.chunks.every((chunk) => chunk.length <= 7));
    assert.ok(there.chunks.some((chunk) => chunk.length === 1));
  });

  test('order holds when the latency falls on the way', () => {
    const { timers, lanes, there } = rig({ latencyMs: 100 });
    lanes.dialled.write([Buffer.from('first')]);
    timers.advance(1);
    lanes.setFaults({ latencyMs: 1 });
    lanes.dialled.write([Buffer.from('second')]);
    timers.advance(50);
    assert.equal(there.bytes, 0);
    timers.advance(50);
    assert.equal(there.received.toString(), 'firstsecond');
  });

  test('a stall one way: the other goes on, nobody is told, healing brings everything', () => {
    const { timers, lanes, here, there } = rig({ latencyMs: 5 });
    lanes.stall('to-listener');
    const data = randomBytes(600_000);
    lanes.dialled.write([data]);
    lanes.accepted.write([Buffer.from('back')]);
    timers.advance(60_000);
    assert.equal(there.bytes, 0);
    assert.equal(here.received.toString(), 'back');
    assert.deepEqual([here.closes, there.closes], [[], []]);
    assert.ok(lanes.dialled.queuedBytes > 0, 'a stalled path took everything');
    lanes.heal();
    timers.advance(10);
    timers.run();
    assert.ok(there.received.equals(data));
  });

  test('a stall both ways swallows ends and resets: the other end is half dead', () => {
    const { timers, lanes, here, there } = rig();
    lanes.stall();
    lanes.dialled.destroy();
    timers.advance(60_000);
    assert.deepEqual(here.closes, [undefined]);
    assert.equal(there.closes.length, 0);
    lanes.heal('to-listener');
    timers.advance(0);
    assert.equal(there.closes[0]?.code, 'lane-reset');
  });

  test('an end into a stall gives up after its linger time', () => {
    const { timers, lanes, here } = rig();
    lanes.stall();
    lanes.dialled.write([new Uint8Array(1_000_000)]);
    lanes.dialled.end();
    timers.advance(9999);
    assert.equal(here.closes.length, 0);
    timers.advance(1);
    assert.equal(here.closes[0]?.code, 'lane-timeout');
  });

  test('an end that was sent but never answered closes without an error', () => {
    const { timers, lanes, here } = rig();
    lanes.stall();
    lanes.dialled.end();
    timers.advance(10_000);
    assert.deepEqual(here.closes, [undefined]);
  });

  test('a cut resets both ends at once and loses what was on the way', () => {
    const { timers, lanes, here, there } = rig({ latencyMs: 10 });
    lanes.dialled.write([new Uint8Array(1000)]);
    timers.advance(5);
    lanes.cut();
    lanes.cut();
    assert.deepEqual([here.closes, there.closes], [[], []]);
    timers.run();
    assert.deepEqual(
      [here.closes, there.closes].map((closes) => closes.map((error) => error?.code)),
      [['lane-reset'], ['lane-reset']],
    );
    assert.equal(there.bytes, 0);
  });

  test('the sender may reuse its buffer as soon as write returns', () => {
    const { timers, lanes, there } = rig({ latencyMs: 1 });
    const buffer = Buffer.from('original');
    lanes.dialled.write([buffer]);
    buffer.fill('x');
    timers.run();
    assert.equal(there.received.toString(), 'original');
  });

  test('a closed pair leaves no timer behind', () => {
    const { timers, lanes, here, there } = rig({ latencyMs: 3, bytesPerSecond: 10_000 });
    lanes.dialled.write([new Uint8Array(100_000)]);
    lanes.accepted.write([new Uint8Array(100_000)]);
    timers.advance(1000);
    lanes.dialled.destroy();
    lanes.accepted.destroy();
    timers.advance(10);
    assert.equal(timers.pending, 0);
    assert.deepEqual([here.closes.length, there.closes.length], [1, 1]);
  });
});
