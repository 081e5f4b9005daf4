import { LANE_CODES, type LaneCode, STREAM_CODES, type StreamCode } from './codes.ts';
import { FRAME_RULES, FrameType, HEADER_BYTES } from './layout.ts';
import { truncateUtf8, utf8Encode, withoutControls } from './text.ts';

const BLOCK_BYTES = 16 * 1024;

/**
 * Encodes frames one after the other into blocks, so that many small frames leave as one piece.
 * A block is never written to again once its bytes were handed out: they may still be queued.
 */
export class FrameWriter {
  #block = new Uint8Array(BLOCK_BYTES);
  #view = new DataView(this.#block.buffer);
  #start = 0;
  #end = 0;
  #full: Uint8Array[] = [];
  #fullBytes = 0;

  /** Bytes encoded and not yet handed out. */
  get pendingBytes(): number {
    return this.#fullBytes + this.#end - this.#start;
  }

  /** Moves everything encoded so far to `out`. */
  drainTo(out: Uint8Array[]): void {
    for (const piece of this.#full) out.push(piece);
    if (this.#full.length > 0) this.#full = [];
    this.#fullBytes = 0;
    if (this.#end > this.#start) out.push(this.#block.subarray(this.#start, this.#end));
    this.#start = this.#end;
  }

  /** A page of a list of services. */
  offers(number: number, names: readonly string[], flags: number): void {
    this.json(FrameType.OFFERS, 0, number, names, flags);
  }

  /** A frame whose payload is JSON. The caller keeps it within the type's limit. */
  json(type: FrameType, stream: number, offset: number, value: unknown, flags = 0): void {
    this.encoded(type, stream, offset, utf8Encode(JSON.stringify(value)), flags);
  }

  /** The same with a payload that is encoded already; it is copied. */
  encoded(type: FrameType, stream: number, offset: number, payload: Uint8Array, flags = 0): void {
    this.#header(type, flags, payload.length, stream, offset);
    this.#bytes(payload);
  }

  ping(sequence: number, clockUs: number): void {
    this.#header(FrameType.PING, 0, 8, 0, sequence);
    this.#u64(clockUs);
  }

  pong(sequence: number, pingClockUs: number, receivedUs: number, sentUs: number): void {
    this.#header(FrameType.PONG, 0, 24, 0, sequence);
    this.#u64(pingClockUs);
    this.#u64(receivedUs);
    this.#u64(sentUs);
  }

  /** A frame of records (see `resume.ts`); `payload` is copied. */
  resume(flags: number, payload: Uint8Array): void {
    this.encoded(FrameType.RESUME, 0, 0, payload, flags);
  }

  goaway(): void {
    this.#header(FrameType.GOAWAY, 0, 0, 0, 0);
  }

  /** A whole DATA frame with a copy of its payload: for messages too small to send as a piece. */
  data(stream: number, offset: number, length: number, parts: readonly Uint8Array[]): void {
    this.#header(FrameType.DATA, 0, length, stream, offset);
    for (const part of parts) this.#bytes(part);
  }

  /** The header of a DATA frame; its payload follows as the caller's own buffers, uncopied. */
  dataHeader(stream: number, offset: number, length: number): void {
    this.#header(FrameType.DATA, 0, length, stream, offset);
  }

  fin(stream: number, size: number): void {
    this.#header(FrameType.FIN, 0, 0, stream, size);
  }

  credit(stream: number, limit: number, delivered: number, flags: number): void {
    this.#header(FrameType.CREDIT, flags, 8, stream, limit);
    this.#u64(delivered);
  }

  reset(stream: number, offset: number, code: StreamCode, reason: string): void {
    this.#coded(FrameType.RESET, stream, offset, STREAM_CODES[code], reason);
  }

  close(code: LaneCode, reason: string): void {
    this.#coded(FrameType.CLOSE, 0, 0, LANE_CODES[code], reason);
  }

  /** A u16 code and a reason of one line, cut to what the frame type may carry. */
  #coded(type: FrameType, stream: number, offset: number, code: number, reason: string): void {
    const bytesMax = FRAME_RULES.get(type)!.payloadBytesMax - 2;
    // Cut first: a reason may be made of an error's text, which may be as long as it likes.
    const text = truncateUtf8(withoutControls(reason.slice(0, bytesMax)), bytesMax);
    this.#header(type, 0, 2 + text.length, stream, offset);
    this.#reserve(2);
    this.#view.setUint16(this.#end, code);
    this.#end += 2;
    this.#bytes(text);
  }

  #header(type: FrameType, flags: number, length: number, stream: number, offset: number): void {
    this.#reserve(HEADER_BYTES);
    const view = this.#view;
    const at = this.#end;
    view.setUint8(at, type);
    view.setUint8(at + 1, flags);
    view.setUint16(at + 2, 0);
    view.setUint32(at + 4, length);
    writeU64(view, at + 8, stream);
    writeU64(view, at + 16, offset);
    this.#end = at + HEADER_BYTES;
  }

  #u64(value: number): void {
    this.#reserve(8);
    writeU64(this.#view, this.#end, value);
    this.#end += 8;
  }

  #bytes(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#block.set(bytes, this.#end);
    this.#end += bytes.length;
  }

  /** Makes room for `count` bytes in one piece, in a new block when this one is used up. */
  #reserve(count: number): void {
    if (this.#end + count <= this.#block.length) return;
    if (this.#end > this.#start) {
      this.#full.push(this.#block.subarray(this.#start, this.#end));
      this.#fullBytes += this.#end - this.#start;
    }
    this.#block = new Uint8Array(Math.max(BLOCK_BYTES, count));
    this.#view = new DataView(this.#block.buffer);
    this.#start = 0;
    this.#end = 0;
  }
}

/** Writes an integer of 0..2^53-1 as u64, big endian. */
export function writeU64(view: DataView, at: number, value: number): void {
  view.setUint32(at, Math.floor(value / 0x1_0000_0000));
  view.setUint32(at + 4, value >>> 0);
}
