import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ReadRoom } from '../../../packages/linux/src/memory/read-room.ts';
import {
  SLAB_BYTES,
  SlabPool,
  type SlabPoolOptions,
} from '../../../packages/linux/src/memory/slab-pool.ts';

let addresses = 0;

function pool(options: Partial<SlabPoolOptions> = {}) {
  let allocated = 0;
  const allocate = () => {
    allocated++;
    const bytes = new Uint8Array(SLAB_BYTES);
    return { bytes, words: new Uint32Array(bytes.buffer), address: ++addresses };
  };
  return { slabs: new SlabPool({ allocate, ...options }), allocated: () => allocated };
}

test('a slab goes back when its last holder releases it, and is used again', () => {
  const { slabs, allocated } = pool();
  const slab = slabs.take();
  slab.retain();
  slab.release();
  assert.deepEqual([slabs.held, slabs.free], [1, 0]);
  slab.release();
  assert.deepEqual([slabs.held, slabs.free], [0, 1]);
  assert.equal(slabs.take(), slab);
  assert.equal(allocated(), 1);
});

test('a slab that nobody holds cannot be released', () => {
  const slab = pool().slabs.take();
  slab.release();
  assert.throws(() => slab.release(), { code: 'internal' });
});

test('a slab that is surrendered never comes back', () => {
  const { slabs } = pool({ poisons: true });
  const slab = slabs.take();
  slab.bytes.fill(7);
  slab.surrender();
  slab.surrender();
  slab.release();
  assert.deepEqual([slabs.held, slabs.free], [0, 0]);
  assert.ok(slab.bytes.every((byte) => byte === 7));
});

test('a pool keeps no more than it may', () => {
  const { slabs } = pool({ freeMax: 2 });
  const taken = [slabs.take(), slabs.take(), slabs.take()];
  for (const slab of taken) slab.release();
  assert.deepEqual([slabs.held, slabs.free], [0, 2]);
});

test('what is freed is overwritten, and who writes to it later is found out', () => {
  const { slabs } = pool({ poisons: true });
  const slab = slabs.take();
  const view = slab.bytes.subarray(100, 104);
  view.fill(1);
  slab.release();
  assert.deepEqual([...view], [0xdb, 0xdb, 0xdb, 0xdb]);
  view[0] = 1;
  assert.throws(() => slabs.take(), { code: 'internal', message: /after it was given back/ });
});

test('what nobody needs is given back', (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const { slabs, allocated } = pool({ idleMs: 1000 });
  const taken = Array.from({ length: 8 }, () => slabs.take());
  for (const slab of taken) slab.release();
  t.mock.timers.tick(1000);
  assert.equal(slabs.free, 8, 'just released');
  // Three are needed all the time.
  for (let n = 0; n < 3; n++) {
    const needed = [slabs.take(), slabs.take(), slabs.take()];
    for (const slab of needed) slab.release();
    t.mock.timers.tick(1000);
  }
  assert.equal(slabs.free, 3);
  assert.equal(allocated(), 8);
  t.mock.timers.tick(2000);
  assert.equal(slabs.free, 0);
});

test('reads share a slab, and what nobody keeps is read over', () => {
  const { slabs } = pool();
  const room = new ReadRoom(slabs);
  const { slab } = room;
  assert.equal(room.at, 0);
  slab.retain();
  room.keep(100);
  assert.deepEqual([room.slab, room.at], [slab, 100]);
  assert.equal(room.slab, slab, 'the second read follows the first');
  room.rest();
  assert.deepEqual([slabs.held, room.at], [1, 100]);
  slab.release();
  room.rest();
  assert.deepEqual([slabs.held, slabs.free, room.at], [0, 1, 0]);
});

test('a slab that is nearly full is left to those who keep its parts', () => {
  const { slabs } = pool();
  const room = new ReadRoom(slabs);
  const { slab } = room;
  slab.retain();
  room.keep(128 * 1024);
  assert.equal(room.length, 128 * 1024);
  slab.retain();
  room.keep(120 * 1024);
  assert.notEqual(room.slab, slab);
  assert.equal(slab.holders, 2);
  room.close();
  assert.equal(slabs.held, 1);
});
