import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { WriteQueue } from '../../../packages/linux/src/sockets/write-queue.ts';
import type { System } from '../../../packages/linux/src/system/system.ts';
import { EAGAIN, EPIPE } from '../../../packages/linux/src/system/system-error.ts';

/** A system that takes so many bytes a call, one number after the other; then all. */
function systemTaking(takes: number[]) {
  const written: number[] = [];
  let piecesMax = 0;
  const writeGathered = (_fd: number, pieces: readonly Uint8Array[]): number => {
    const offered = pieces.slice(0, 64).flatMap((piece) => [...piece]);
    piecesMax = Math.max(piecesMax, pieces.length);
    const take = takes.shift() ?? offered.length;
    if (take === 0) return EAGAIN;
    if (take < 0) return take;
    const taken = offered.slice(0, take);
    written.push(...taken);
    return taken.length;
  };
  return { system: { writeGathered } as unknown as System, written, piecesMax: () => piecesMax };
}

test('whatever the system takes at a time, bytes go out once and in order', () => {
  const step = fc.oneof(fc.nat(3000), fc.constant('write' as const));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), fc.array(fc.nat(2000)), (steps, takes) => {
      const { system, written } = systemTaking(takes);
      const queue = new WriteQueue(system);
      const given: number[] = [];
      for (const size of steps) {
        if (size === 'write') queue.write(3);
        else {
          const piece = Uint8Array.from({ length: size }, (_, n) => given.length + n);
          given.push(...piece);
          queue.add(piece);
        }
        assert.equal(queue.bytes, given.length - written.length);
        assert.deepEqual(written, given.slice(0, written.length));
      }
      while (queue.bytes > 0) queue.write(3);
      assert.deepEqual(written, given);
    }),
  );
});

test('small parts of large buffers that wait hold no more memory than they need', () => {
  const { system, written, piecesMax } = systemTaking([0]);
  const queue = new WriteQueue(system);
  for (let n = 0; n < 1000; n++) {
    queue.add(new Uint8Array(64 * 1024).fill(n).subarray(7, 8));
    if (n === 0) assert.equal(queue.write(3), 0);
  }
  assert.ok(queue.isBlocked);
  assert.equal(queue.write(3), 1000);
  assert.equal(written.length, 1000);
  assert.ok(piecesMax() < 5, 'they were put together');
});

test('an error is the answer, and nothing is left to write when the queue is cleared', () => {
  const { system } = systemTaking([5, EPIPE]);
  const queue = new WriteQueue(system);
  for (let n = 0; n < 65; n++) queue.add(new Uint8Array(1));
  queue.write(3);
  assert.equal(queue.write(3), EPIPE);
  assert.equal(queue.clear(), 60);
  assert.deepEqual([queue.bytes, queue.isBlocked, queue.write(3)], [0, false, 0]);
});
