import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Reassembly } from '../../../../packages/proto/src/session/flow/reassembly.ts';
import { ProtocolError } from '../../../../packages/proto/src/wire/protocol-error.ts';
import { concat } from '../../../support/session/frames.ts';

const KIB = 1024;

/** Bytes that tell where in the stream they belong. */
function bytesAt(offset: number, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (offset + i) % 251);
}

/** Everything that comes out from `offset` on. */
function takeAll(reassembly: Reassembly, offset: number): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  let next = offset;
  for (let piece = reassembly.take(next); piece !== undefined; piece = reassembly.take(next)) {
    pieces.push(piece);
    next += piece.length;
  }
  return pieces;
}

test('nothing is handed out before the gap below it is filled', () => {
  const reassembly = new Reassembly();
  assert.ok(reassembly.empty);
  assert.equal(reassembly.take(0), undefined);
  assert.equal(reassembly.insert(10, bytesAt(10, 5)), 5);
  assert.equal(reassembly.insert(20, bytesAt(20, 5)), 5);
  assert.deepEqual([reassembly.heldBytes, reassembly.empty], [10, false]);
  assert.equal(reassembly.take(9), undefined);
  assert.deepEqual(reassembly.take(10), bytesAt(10, 5));
  assert.equal(reassembly.take(15), undefined);
  assert.deepEqual(reassembly.take(22), bytesAt(22, 3), 'trimmed to what is new');
  assert.deepEqual([reassembly.heldBytes, reassembly.empty], [0, true]);
});

test('pieces that are old as a whole are dropped', () => {
  const reassembly = new Reassembly();
  for (const offset of [10, 20, 30]) reassembly.insert(offset, bytesAt(offset, 5));
  assert.equal(reassembly.take(29), undefined);
  assert.equal(reassembly.heldBytes, 5);
  assert.equal(reassembly.take(35), undefined);
  assert.ok(reassembly.empty);
});

test('bytes that are held already are not held twice', () => {
  const reassembly = new Reassembly();
  reassembly.insert(10, bytesAt(10, 10));
  assert.equal(reassembly.insert(10, bytesAt(10, 10)), 0, 'the same');
  assert.equal(reassembly.insert(12, bytesAt(12, 3)), 0, 'within');
  assert.equal(reassembly.insert(15, bytesAt(15, 10)), 5, 'over the end');
  assert.equal(reassembly.insert(5, bytesAt(5, 7)), 5, 'over the beginning');
  reassembly.insert(40, bytesAt(40, 5));
  assert.equal(reassembly.insert(0, bytesAt(0, 60)), 60 - 25, 'over all of it');
  assert.equal(reassembly.insert(7, new Uint8Array(0)), 0);
  assert.equal(reassembly.heldBytes, 60);
  assert.deepEqual(concat(takeAll(reassembly, 0)), bytesAt(0, 60));
});

test('a large piece is kept as it came, a small part of a large buffer is not', () => {
  const reassembly = new Reassembly();
  const whole = bytesAt(0, 8 * KIB);
  reassembly.insert(0, whole);
  const half = bytesAt(8 * KIB, 8 * KIB).subarray(0, 4 * KIB);
  reassembly.insert(8 * KIB, half);
  const part = bytesAt(12 * KIB, 8 * KIB).subarray(0, 2 * KIB);
  reassembly.insert(12 * KIB, part);
  const pieces = takeAll(reassembly, 0);
  assert.deepEqual(
    pieces.map((piece) => [piece.length / KIB, piece.buffer.byteLength / KIB]),
    [
      [8, 8],
      [4, 8],
      [2, 2],
    ],
  );
  assert.equal(pieces[0]!.buffer, whole.buffer);
  assert.equal(pieces[1]!.buffer, half.buffer);
});

test('tiny pieces are gathered in blocks of up to 64 KiB, in memory twice their size at most', () => {
  const reassembly = new Reassembly();
  const total = 200 * KIB;
  const packet = Buffer.alloc(16 * KIB);
  for (let offset = 1; offset <= total; offset += 5) {
    packet.set(bytesAt(offset, 5), 100);
    // A Buffer that is used again: what is kept must be a copy.
    reassembly.insert(offset, packet.subarray(100, 105));
  }
  packet.fill(0);
  assert.equal(reassembly.heldBytes, total);
  const pieces = takeAll(reassembly, 1);
  assert.equal(pieces.length, 4);
  const memory = pieces.reduce((sum, piece) => sum + piece.buffer.byteLength, 0);
  assert.ok(memory <= 2 * total);
  assert.ok(pieces.every((piece) => piece.buffer.byteLength <= 64 * KIB));
  assert.deepEqual(concat(pieces), bytesAt(1, total));
});

test('tiny and large pieces keep their order', () => {
  const reassembly = new Reassembly();
  const lengths = [3, 4, 2_000, 1, 3_000, 1_024, 1_025, 70_000, 5];
  let offset = 0;
  for (const length of lengths) {
    assert.equal(reassembly.insert(offset, bytesAt(offset, length)), length);
    offset += length;
  }
  const pieces = takeAll(reassembly, 0);
  assert.deepEqual(
    pieces.map((piece) => piece.length),
    [7, 2_000, 1, 3_000, 1_024, 1_025, 70_000, 5],
  );
  assert.deepEqual(concat(pieces), bytesAt(0, offset));
});

test('what was handed out does not change when more arrives', () => {
  const reassembly = new Reassembly();
  reassembly.insert(0, bytesAt(0, 4));
  reassembly.insert(4, bytesAt(4, 4));
  const first = reassembly.take(0)!;
  reassembly.insert(8, new Uint8Array(4).fill(0xff));
  assert.deepEqual(first, bytesAt(0, 8));
});

/** So many runs of one byte, each `step` bytes above the last. */
function keeps(runs: number, step: number): Reassembly {
  const reassembly = new Reassembly();
  for (let i = 0; i < runs; i++) reassembly.insert(1 + step * i, bytesAt(1 + step * i, 1));
  return reassembly;
}

test('64 runs are the limit; what extends one is no new one', () => {
  const reassembly = keeps(64, 2);
  assert.throws(
    () => reassembly.insert(8_000, Uint8Array.of(1)),
    (error) =>
      error instanceof ProtocolError &&
      error.code === 'reassembly' &&
      error.laneCode === 'protocol-error' &&
      error.message === 'DATA at 8000 beside 64 runs that wait',
  );
  assert.equal(reassembly.heldBytes, 64, 'what was refused is not counted');
  assert.equal(reassembly.insert(128, Uint8Array.of(7)), 1, 'at the end of the last run');
  assert.equal(reassembly.insert(4, Uint8Array.of(7)), 1, 'into a gap');
});

test('runs that reach over more may be more, as many as turns of 32 KiB make', () => {
  const reach = 64 * 8 * KIB;
  const reassembly = keeps(64, 2);
  for (let i = 0; i < 64; i++) reassembly.insert(reach + 2 * i, bytesAt(reach + 2 * i, 1));
  assert.throws(() => reassembly.insert(reach - 2, Uint8Array.of(1)), /beside 128 runs/);
  // A lane that fell behind, and its rival with a turn and next to nothing in turn.
  assert.equal(keeps(16_384, 32 * KIB).heldBytes, 16_384);
  assert.equal(keeps(32_768, 16 * KIB).heldBytes, 32_768);
});

test('a piece over all gaps fills them in one go', () => {
  const reassembly = keeps(64, 2);
  assert.equal(reassembly.insert(1, bytesAt(1, 9_000)), 9_000 - 64);
  assert.deepEqual(concat(takeAll(reassembly, 1)), bytesAt(1, 9_000));
});
