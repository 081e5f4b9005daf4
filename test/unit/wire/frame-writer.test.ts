import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FrameWriter } from '../../../packages/proto/src/wire/frame-writer.ts';
import {
  FLAG_RESUME_LAST,
  FrameType,
  HEADER_BYTES,
  OFFSET_MAX,
} from '../../../packages/proto/src/wire/layout.ts';
import { concat, frame, readFrames } from '../../support/session/frames.ts';

test('small frames leave together in one piece', () => {
  const writer = new FrameWriter();
  for (let i = 0; i < 50; i++) writer.ping(i, i);
  assert.equal(writer.pendingBytes, 50 * (HEADER_BYTES + 8));
  const out: Uint8Array[] = [];
  writer.drainTo(out);
  assert.equal(out.length, 1);
  assert.equal(writer.pendingBytes, 0);
  writer.drainTo(out);
  assert.equal(out.length, 1, 'nothing is handed out twice');
  assert.deepEqual(
    readFrames(out).map((each) => each.offset),
    Array.from({ length: 50 }, (_, i) => i),
  );
});

test('bytes that were handed out are never written to again', () => {
  const writer = new FrameWriter();
  const out: Uint8Array[] = [];
  const copies: Uint8Array[] = [];
  for (let i = 0; i < 5_000; i++) {
    writer.credit(1 + i, 2 * i, i, i % 2);
    if (i % 7 !== 0) continue;
    const before = out.length;
    writer.drainTo(out);
    for (const piece of out.slice(before)) copies.push(piece.slice());
  }
  writer.drainTo(out);
  assert.deepEqual(out.slice(0, copies.length), copies);
  assert.equal(readFrames(out).length, 5_000);
});

test('frames larger than a block, and many blocks, keep their order', () => {
  const writer = new FrameWriter();
  const names = Array.from({ length: 3_000 }, (_, i) => `service-${i}`);
  writer.goaway();
  writer.json(FrameType.OFFERS, 0, 0, names);
  for (let i = 0; i < 2_000; i++) writer.ping(i, i);
  writer.json(FrameType.OFFERS, 0, 0, names);
  const pending = writer.pendingBytes;
  const out: Uint8Array[] = [];
  writer.drainTo(out);
  assert.equal(concat(out).length, pending);
  const frames = readFrames(out);
  assert.equal(frames.length, 2_003);
  assert.equal(frames[0]!.type, FrameType.GOAWAY);
  for (const index of [1, 2_002]) {
    assert.deepEqual(JSON.parse(new TextDecoder().decode(frames[index]!.payload)), names);
  }
});

test('a RESUME frame has a copy of its payload, which may be empty', () => {
  const writer = new FrameWriter();
  const payload = new Uint8Array(64 * 1024).map((_, i) => i % 251);
  writer.resume(0, payload);
  const copy = payload.slice();
  payload.fill(0);
  writer.resume(FLAG_RESUME_LAST, payload.subarray(0, 0));
  const out: Uint8Array[] = [];
  writer.drainTo(out);
  const [first, last, ...none] = readFrames(out);
  assert.deepEqual(first, {
    type: FrameType.RESUME,
    flags: 0,
    stream: 0,
    offset: 0,
    payload: copy,
  });
  assert.deepEqual([last!.type, last!.flags, last!.payload.length], [FrameType.RESUME, 1, 0]);
  assert.equal(none.length, 0);
});

test('numbers up to 2^53-1 are written as u64', () => {
  for (const value of [0, 1, 0xffff_ffff, 0x1_0000_0000, 2 ** 40 + 5, OFFSET_MAX]) {
    const bytes = frame((writer) => writer.credit(OFFSET_MAX, value, value, 1));
    const view = new DataView(bytes.buffer);
    assert.equal(view.getBigUint64(8), BigInt(OFFSET_MAX));
    assert.equal(view.getBigUint64(16), BigInt(value));
    assert.equal(view.getBigUint64(HEADER_BYTES), BigInt(value));
    assert.equal(view.getUint8(1), 1);
  }
});

test('a reason is said in one line', () => {
  const [close] = readFrames([frame((w) => w.close('internal', 'one\r\ntwo\u0085\u001b[0m'))]);
  assert.equal(new TextDecoder().decode(close!.payload.subarray(2)), 'one  two  [0m');
});

test('a reason longer than its frame may be is cut between characters', () => {
  const [close] = readFrames([frame((writer) => writer.close('internal', 'é'.repeat(4_000)))]);
  assert.equal(close!.payload.length, 4_096);
  assert.match(new TextDecoder().decode(close!.payload.subarray(2)), /^é+$/);
  const [reset] = readFrames([frame((w) => w.reset(1, 0, 'internal', `x${'é'.repeat(1_000)}`))]);
  assert.equal(reset!.payload.length, 1_023, 'an odd byte is left');
  assert.match(new TextDecoder().decode(reset!.payload.subarray(2)), /^xé+$/);
});
