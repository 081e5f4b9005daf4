import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FrameDecoder } from '../../../packages/proto/src/wire/frame-decoder.ts';
import {
  FRAME_RULES,
  FrameType,
  frameName,
  HEADER_BYTES,
  OFFSET_MAX,
  PAYLOAD_BYTES_MAX,
} from '../../../packages/proto/src/wire/layout.ts';
import { ProtocolError } from '../../../packages/proto/src/wire/protocol-error.ts';
import { concat, dataFrame, frame } from '../../support/session/frames.ts';

interface Header {
  readonly type?: number;
  readonly flags?: number;
  readonly reserved?: number;
  readonly length?: number;
  readonly stream?: bigint;
  readonly offset?: bigint;
}

function header(fields: Header): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, fields.type ?? FrameType.DATA);
  view.setUint8(1, fields.flags ?? 0);
  view.setUint16(2, fields.reserved ?? 0);
  view.setUint32(4, fields.length ?? 1);
  view.setBigUint64(8, fields.stream ?? 1n);
  view.setBigUint64(16, fields.offset ?? 0n);
  return bytes;
}

/** What comes out: `NAME stream offset length` for frames, `data stream offset length` for parts. */
function decode(chunks: readonly Uint8Array[]): { seen: string[]; decoder: FrameDecoder } {
  const seen: string[] = [];
  const decoder = new FrameDecoder({
    onFrame: (h, payload) =>
      seen.push(`${frameName(h.type)} ${h.stream} ${h.offset} ${payload.length}`),
    onData: (stream, offset, bytes) => seen.push(`data ${stream} ${offset} ${bytes.length}`),
  });
  for (const chunk of chunks) decoder.push(chunk);
  return { seen, decoder };
}

function refusal(bytes: Uint8Array): string {
  try {
    decode([bytes]);
  } catch (error) {
    assert.ok(error instanceof ProtocolError);
    // Another version may say what this one does not know.
    const unknown = ['frame-type', 'frame-flags', 'frame-reserved'].includes(error.code);
    assert.equal(error.laneCode, unknown ? 'version-mismatch' : 'protocol-error');
    return error.code;
  }
  return 'taken';
}

for (const [type, rule] of FRAME_RULES) {
  const stream = rule.ofStream ? 1n : 0n;

  test(`${rule.name}: a payload of ${rule.payloadBytesMin} to ${rule.payloadBytesMax} bytes, no other`, () => {
    const { payloadBytesMin: min, payloadBytesMax: max } = rule;
    assert.equal(refusal(header({ type, stream, length: min })), 'taken');
    assert.equal(refusal(header({ type, stream, length: max })), 'taken');
    assert.equal(refusal(header({ type, stream, length: max + 1 })), 'frame-length');
    assert.equal(refusal(header({ type, stream, length: 0xffff_ffff })), 'frame-length');
    if (min > 0) assert.equal(refusal(header({ type, stream, length: min - 1 })), 'frame-length');
    assert.ok(max <= PAYLOAD_BYTES_MAX);
  });

  test(`${rule.name}: ${rule.ofStream ? 'of a stream' : 'of the session'}, no unknown flags`, () => {
    const length = rule.payloadBytesMin;
    const other = rule.ofStream ? 0n : 1n;
    assert.equal(refusal(header({ type, length, stream: other })), 'frame-stream');
    for (let flags = 0; flags < 256; flags++) {
      const expected = (flags & ~rule.flags) === 0 ? 'taken' : 'frame-flags';
      assert.equal(refusal(header({ type, length, stream, flags })), expected);
    }
    assert.equal(refusal(header({ type, length, stream, reserved: 1 })), 'frame-reserved');
    assert.equal(refusal(header({ type, length, stream, reserved: 0x8000 })), 'frame-reserved');
  });
}

test('only the types of the table are taken; reserved ones are not', () => {
  for (let type = 0; type < 256; type++) {
    const rule = FRAME_RULES.get(type);
    const stream = rule?.ofStream === false ? 0n : 1n;
    const bytes = header({ type, stream, length: rule?.payloadBytesMin ?? 8 });
    assert.equal(refusal(bytes), rule === undefined ? 'frame-type' : 'taken');
  }
  for (const type of [FrameType.DATAGRAM, FrameType.ROUTES]) {
    assert.equal(refusal(header({ type })), 'frame-type');
  }
});

test('stream ids and offsets end at 2^53-1, the payload included', () => {
  const max = BigInt(OFFSET_MAX);
  assert.equal(refusal(header({ stream: max })), 'taken');
  for (const stream of [max + 1n, max + 2n, 2n ** 63n, 2n ** 64n - 1n]) {
    assert.equal(refusal(header({ stream })), 'frame-stream');
  }
  assert.equal(refusal(header({ length: 10, offset: max - 10n })), 'taken');
  for (const offset of [max - 9n, max, max + 1n, 2n ** 64n - 1n]) {
    assert.equal(refusal(header({ length: 10, offset })), 'frame-offset');
  }
});

test('DATA is passed on in parts as it comes, everything else whole', () => {
  const bytes = concat([
    frame((writer) => writer.ping(7, 1234)),
    dataFrame(3, 100, new Uint8Array(10)),
    frame((writer) => writer.goaway()),
    frame((writer) => writer.fin(3, 110)),
  ]);
  const cut = 32 + HEADER_BYTES + 4;
  const { seen, decoder } = decode([
    bytes.subarray(0, 10),
    bytes.subarray(10, cut),
    bytes.subarray(cut),
  ]);
  assert.deepEqual(seen, [
    'PING 0 7 8',
    'data 3 100 4',
    'data 3 104 6',
    'GOAWAY 0 0 0',
    'FIN 3 110 0',
  ]);
  assert.ok(decoder.idle);
});

test('DATA and payloads that came in one piece are views, not copies', () => {
  const bytes = concat([dataFrame(1, 0, new Uint8Array(50)), frame((w) => w.ping(1, 1))]);
  const views: Uint8Array[] = [];
  const decoder = new FrameDecoder({
    onFrame: (_header, payload) => views.push(payload),
    onData: (_stream, _offset, part) => views.push(part),
  });
  decoder.push(bytes);
  assert.deepEqual(
    views.map((view) => [view.buffer === bytes.buffer, view.byteOffset, view.length]),
    [
      [true, HEADER_BYTES, 50],
      [true, 2 * HEADER_BYTES + 50, 8],
    ],
  );
});

test('memory is held for the declared length at most, and only while a frame is incomplete', () => {
  const offers = frame((writer) => writer.json(FrameType.OFFERS, 0, 0, Array(100).fill('redis')));
  const { decoder } = decode([offers.subarray(0, HEADER_BYTES)]);
  assert.equal(decoder.heldBytes, 0);
  assert.ok(!decoder.idle);
  decoder.push(offers.subarray(HEADER_BYTES, HEADER_BYTES + 1));
  assert.equal(decoder.heldBytes, offers.length - HEADER_BYTES);
  decoder.push(offers.subarray(HEADER_BYTES + 1));
  assert.equal(decoder.heldBytes, 0);
  assert.ok(decoder.idle);
});

test('a refusal names the frame and what is allowed', () => {
  assert.throws(() => decode([header({ type: FrameType.OPEN, length: 5000 })]), {
    name: 'ProtocolError',
    message: 'OPEN of 5000 bytes, allowed 2 to 4096',
  });
  assert.throws(() => decode([header({ type: 0x7f })]), { message: 'unknown frame type 0x7f' });
  assert.throws(() => decode([header({ type: 0x03, stream: 9n, length: 8 })]), {
    message: 'PING with stream id 9',
  });
});
