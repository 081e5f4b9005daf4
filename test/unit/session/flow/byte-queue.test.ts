import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ByteQueue } from '../../../../packages/proto/src/session/flow/byte-queue.ts';

test('bytes are counted as they come and go, gathered or not', () => {
  const pieces = new ByteQueue();
  assert.deepEqual([pieces.bytes, pieces.shift()], [0, undefined]);
  const large = new Uint8Array(2_000).fill(2);
  for (const piece of [Uint8Array.of(1), Uint8Array.of(1), large]) pieces.append(piece);
  assert.equal(pieces.bytes, 2_002);
  assert.deepEqual(pieces.shift(), Uint8Array.of(1, 1));
  assert.equal(pieces.bytes, 2_000);
  pieces.append(new Uint8Array(10_000).subarray(0, 3_000));
  assert.equal(pieces.shift(), large, 'as it came');
  assert.equal(pieces.shift()?.buffer.byteLength, 3_000, 'a small part of a large buffer');
  assert.deepEqual([pieces.bytes, pieces.shift()], [0, undefined]);
});
