import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SendBuffer } from '../../../../packages/proto/src/session/flow/send-buffer.ts';
import { concat } from '../../../support/session/frames.ts';

function take(buffer: SendBuffer, length: number): Uint8Array[] {
  const out: Uint8Array[] = [];
  buffer.take(length, out);
  return out;
}

test('bytes come out as views of what went in, across chunks', () => {
  const buffer = new SendBuffer();
  const first = Uint8Array.of(1, 2, 3);
  const second = Uint8Array.of(4, 5, 6, 7);
  buffer.push(first);
  buffer.push(new Uint8Array(0));
  buffer.push(second);
  assert.deepEqual(
    [buffer.written, buffer.sent, buffer.acked, buffer.unsentBytes, buffer.heldBytes],
    [7, 0, 0, 7, 7],
  );
  const [whole, ...none] = take(buffer, 3);
  assert.equal(whole, first, 'a whole chunk is not even a new view');
  assert.equal(none.length, 0);
  const parts = [...take(buffer, 1), ...take(buffer, 3)];
  assert.ok(parts.every((part) => part.buffer === second.buffer));
  assert.deepEqual([...concat(parts)], [4, 5, 6, 7]);
  assert.equal(buffer.unsentBytes, 0);
  assert.equal(buffer.heldBytes, 7, 'kept until acknowledged');
});

test('acknowledged bytes are forgotten, the rest goes on', () => {
  const buffer = new SendBuffer();
  buffer.push(Uint8Array.of(1, 2, 3));
  buffer.push(Uint8Array.of(4, 5));
  take(buffer, 4);
  assert.equal(buffer.ack(2), 2);
  assert.equal(buffer.ack(4), 2);
  assert.equal(buffer.ack(4), 0);
  assert.deepEqual([buffer.acked, buffer.heldBytes, buffer.unsentBytes], [4, 1, 1]);
  assert.deepEqual([...concat(take(buffer, 1))], [5]);
  assert.equal(buffer.ack(5), 1);
  buffer.push(Uint8Array.of(6));
  assert.deepEqual([...concat(take(buffer, 1))], [6]);
});

test('after a rewind the same bytes come out again, then the rest', () => {
  const buffer = new SendBuffer();
  const chunks = [Uint8Array.of(1, 2, 3), Uint8Array.of(4, 5), Uint8Array.of(6, 7, 8)];
  for (const chunk of chunks) buffer.push(chunk);
  take(buffer, 7);
  buffer.ack(1);
  buffer.rewind(3);
  assert.deepEqual([buffer.acked, buffer.sent, buffer.everSent], [1, 3, 7]);
  assert.deepEqual([buffer.unsentBytes, buffer.heldBytes], [5, 7]);
  assert.equal(take(buffer, 2)[0], chunks[1], 'a whole chunk is not even a new view');
  buffer.rewind(1);
  assert.deepEqual([...concat(take(buffer, 7))], [2, 3, 4, 5, 6, 7, 8]);
  assert.deepEqual([buffer.sent, buffer.everSent, buffer.unsentBytes], [8, 8, 0]);
});

test('a rewind to what was sent last changes nothing, and one within what was sent leads forward', () => {
  const buffer = new SendBuffer();
  buffer.rewind(0);
  buffer.push(Uint8Array.of(1, 2, 3));
  buffer.push(Uint8Array.of(4, 5, 6));
  take(buffer, 5);
  buffer.rewind(5);
  buffer.rewind(0);
  buffer.rewind(4);
  assert.deepEqual([...concat(take(buffer, 2))], [5, 6]);
  buffer.rewind(6);
  buffer.push(Uint8Array.of(7));
  assert.deepEqual([...concat(take(buffer, 1))], [7]);
});

test('an acknowledgement of what was sent before a rewind spares sending it again', () => {
  const buffer = new SendBuffer();
  for (let i = 0; i < 100; i++) buffer.push(Uint8Array.of(2 * i, 2 * i + 1));
  take(buffer, 150);
  buffer.rewind(10);
  take(buffer, 3);
  assert.equal(buffer.ack(149), 149);
  assert.deepEqual([buffer.sent, buffer.everSent, buffer.unsentBytes], [149, 150, 51]);
  assert.deepEqual([...concat(take(buffer, 3))], [149, 150, 151]);
  take(buffer, 48);
  buffer.rewind(149);
  assert.equal(buffer.ack(200), 51);
  assert.deepEqual([buffer.heldBytes, buffer.unsentBytes], [0, 0]);
  buffer.push(Uint8Array.of(200));
  assert.deepEqual([...concat(take(buffer, 1))], [200]);
});

test('thousands of chunks pass through without a growing remainder', () => {
  const buffer = new SendBuffer();
  let next = 0;
  let expected = 0;
  for (let round = 0; round < 500; round++) {
    for (let i = 0; i < 7; i++) buffer.push(Uint8Array.of(next++ & 0xff, next++ & 0xff));
    for (const byte of concat(take(buffer, Math.min(13, buffer.unsentBytes)))) {
      assert.equal(byte, expected++ & 0xff);
    }
    if (round % 3 === 0) buffer.ack(buffer.sent - 1);
  }
  assert.equal(buffer.written, 7_000);
});

test('a dropped buffer holds nothing and has nothing to send', () => {
  const buffer = new SendBuffer();
  buffer.push(new Uint8Array(10));
  take(buffer, 4);
  buffer.ack(3);
  assert.equal(buffer.drop(), 7);
  assert.deepEqual([buffer.heldBytes, buffer.unsentBytes, buffer.everSent], [0, 0, 4]);
  assert.equal(buffer.drop(), 0);
});
