import { type LaneCode, LANE_CODES, STREAM_CODES, type StreamCode } from './codes.ts';
import { FRAME_RULES, FrameType, HEADER_BYTES } from './layout.ts';
import { truncateUtf8, utf8Encode } from './text.ts';

/** Writes a header at `at`. `length`, `stream` and `offset` must be in range; nothing is checked. */
export function writeHeader(
  view: DataView,
  at: number,
  type: FrameType,
  flags: number,
  length: number,
  stream: number,
  offset: number,
): void {
  view.setUint8(at, type);
  view.setUint8(at + 1, flags);
  view.setUint16(at + 2, 0);
  view.setUint32(at + 4, length);
  writeU64(view, at + 8, stream);
  writeU64(view, at + 16, offset);
}

/** Writes an integer of 0..2^53-1 as u64. */
export function writeU64(view: DataView, at: number, value: number): void {
  view.setUint32(at, Math.floor(value / 0x1_0000_0000));
  view.setUint32(at + 4, value >>> 0);
}

/** A whole frame with its payload, for everything but DATA, whose payload is never copied. */
export function encodeFrame(
  type: FrameType,
  stream: number,
  offset: number,
  payload: Uint8Array,
  flags = 0,
): Uint8Array {
  const frame = new Uint8Array(HEADER_BYTES + payload.length);
  writeHeader(viewOf(frame), 0, type, flags, payload.length, stream, offset);
  frame.set(payload, HEADER_BYTES);
  return frame;
}

/** A frame whose payload is JSON. */
export function encodeJson(
  type: FrameType,
  stream: number,
  offset: number,
  value: unknown,
): Uint8Array {
  return encodeFrame(type, stream, offset, utf8Encode(JSON.stringify(value)));
}

export function encodePing(sequence: number, clockUs: number): Uint8Array {
  return encodeNumbers(FrameType.PING, 0, sequence, [clockUs]);
}

export function encodePong(
  sequence: number,
  pingClockUs: number,
  receivedUs: number,
  sentUs: number,
): Uint8Array {
  return encodeNumbers(FrameType.PONG, 0, sequence, [pingClockUs, receivedUs, sentUs]);
}

export function encodeCredit(
  stream: number,
  limit: number,
  delivered: number,
  flags: number,
): Uint8Array {
  return encodeNumbers(FrameType.CREDIT, stream, limit, [delivered], flags);
}

export function encodeReset(
  stream: number,
  offset: number,
  code: StreamCode,
  reason: string,
): Uint8Array {
  return encodeCoded(FrameType.RESET, stream, offset, STREAM_CODES[code], reason);
}

export function encodeClose(code: LaneCode, reason: string): Uint8Array {
  return encodeCoded(FrameType.CLOSE, 0, 0, LANE_CODES[code], reason);
}

/** A u16 code and a reason, cut to what the frame type may carry. */
function encodeCoded(
  type: FrameType,
  stream: number,
  offset: number,
  code: number,
  reason: string,
): Uint8Array {
  const text = truncateUtf8(reason, FRAME_RULES.get(type)!.payloadBytesMax - 2);
  const frame = new Uint8Array(HEADER_BYTES + 2 + text.length);
  const view = viewOf(frame);
  writeHeader(view, 0, type, 0, 2 + text.length, stream, offset);
  view.setUint16(HEADER_BYTES, code);
  frame.set(text, HEADER_BYTES + 2);
  return frame;
}

function encodeNumbers(
  type: FrameType,
  stream: number,
  offset: number,
  values: readonly number[],
  flags = 0,
): Uint8Array {
  const frame = new Uint8Array(HEADER_BYTES + 8 * values.length);
  const view = viewOf(frame);
  writeHeader(view, 0, type, flags, 8 * values.length, stream, offset);
  for (let i = 0; i < values.length; i++) writeU64(view, HEADER_BYTES + 8 * i, values[i]!);
  return frame;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
