import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { FrameDecoder } from '../../packages/proto/src/wire/frame-decoder.ts';
import { FrameType } from '../../packages/proto/src/wire/layout.ts';
import { acceptFrame, concat, dataFrame, frame, openFrame } from '../support/session/frames.ts';

const id = fc.integer({ min: 1, max: 2 ** 53 - 1 });
const offset = fc.integer({ min: 0, max: 2 ** 52 });

const anyFrame = fc.oneof(
  fc.tuple(id, offset, fc.uint8Array({ minLength: 1, maxLength: 300 })).map((f) => dataFrame(...f)),
  fc.tuple(offset, offset).map(([a, b]) => frame((writer) => writer.ping(a, b))),
  fc.tuple(offset, offset).map(([a, b]) => frame((writer) => writer.pong(a, b, a, b))),
  fc.tuple(id, offset).map(([a, b]) => frame((writer) => writer.fin(a, b))),
  fc.tuple(id, offset).map(([a, b]) => frame((writer) => writer.credit(a, b, b, b % 2))),
  fc.tuple(id, offset).map(([a, b]) => openFrame(a, b)),
  fc.tuple(id, offset).map(([a, b]) => acceptFrame(a, b)),
  fc.tuple(id, fc.string()).map(([a, b]) => frame((w) => w.reset(a, 0, 'internal', b))),
  fc.string().map((text) => frame((writer) => writer.close('internal', text))),
  fc.array(fc.constant('redis'), { maxLength: 50 }).map((names) => offersFrame(names)),
  fc.uint8Array({ maxLength: 300 }).map((bytes) => frame((w) => w.resume(bytes.length % 2, bytes))),
  fc.constant(frame((writer) => writer.goaway())),
);

function offersFrame(names: readonly string[]): Uint8Array {
  return frame((writer) => writer.json(FrameType.OFFERS, 0, 0, names));
}

/** Everything that comes out, DATA joined: how it was cut does not show. */
function decode(chunks: readonly Uint8Array[]): unknown[] {
  const seen: unknown[] = [];
  const bytes: number[] = [];
  const decoder = new FrameDecoder({
    onFrame: (header, payload) => seen.push([{ ...header }, [...payload]]),
    onData: (stream, at, part) => {
      part.forEach((byte, i) => {
        bytes.push(byte);
        seen.push(`${stream} ${at + i} ${byte}`);
      });
    },
  });
  for (const chunk of chunks) decoder.push(chunk);
  assert.ok(decoder.idle);
  assert.equal(decoder.heldBytes, 0);
  return seen;
}

function cut(bytes: Uint8Array, sizes: readonly number[]): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  let at = 0;
  for (let i = 0; at < bytes.length; i++) {
    const size = sizes[i % sizes.length]!;
    chunks.push(bytes.subarray(at, at + size));
    at += size;
  }
  return chunks;
}

test('frames are the same however their bytes are cut', () => {
  fc.assert(
    fc.property(
      fc.array(anyFrame, { minLength: 1, maxLength: 8 }),
      fc.array(fc.integer({ min: 1, max: 80 }), { minLength: 1, maxLength: 20 }),
      (frames, sizes) => {
        const bytes = concat(frames);
        const whole = decode([bytes]);
        assert.deepEqual(decode(cut(bytes, sizes)), whole);
        assert.deepEqual(decode(cut(bytes, [1])), whole);
        assert.deepEqual(decode(frames), whole);
      },
    ),
    { numRuns: 200 },
  );
});

test('bytes that are no frames are refused with a code, and nothing else happens', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      const decoder = new FrameDecoder({ onFrame: () => {}, onData: () => {} });
      try {
        decoder.push(bytes);
      } catch (error) {
        assert.equal((error as Error).name, 'ProtocolError');
      }
    }),
    { numRuns: 500 },
  );
});
