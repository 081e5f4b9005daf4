import { FRAME_RULES, FrameType, frameName, HEADER_BYTES, OFFSET_MAX } from './layout.ts';
import { ProtocolError, unknownToThisVersion } from './protocol-error.ts';

export interface FrameHeader {
  type: number;
  flags: number;
  /** Payload bytes. */
  length: number;
  stream: number;
  offset: number;
}

/** Where decoded frames go. */
export interface FrameSink {
  /** A whole frame, never DATA. Header and payload are valid only during the call. */
  onFrame(header: FrameHeader, payload: Uint8Array): void;
  /** A part of a DATA frame's payload, as soon as it is there: `bytes` is a view of the chunk. */
  onData(stream: number, offset: number, bytes: Uint8Array): void;
}

const NO_BYTES = new Uint8Array(0);

/**
 * Turns lane bytes, cut anywhere, into frames. DATA payload is passed on as views without being
 * gathered; other payloads are gathered in a buffer no larger than their type's limit.
 */
export class FrameDecoder {
  readonly #sink: FrameSink;
  readonly #header: FrameHeader = { type: 0, flags: 0, length: 0, stream: 0, offset: 0 };
  readonly #headerBytes = new Uint8Array(HEADER_BYTES);
  readonly #headerView = new DataView(this.#headerBytes.buffer);
  #headerFilled = 0;
  #payload: Uint8Array = NO_BYTES;
  /** Payload bytes of the current frame seen so far. */
  #payloadFilled = 0;
  #inPayload = false;

  constructor(sink: FrameSink) {
    this.#sink = sink;
  }

  /** True between two frames. */
  get idle(): boolean {
    return !this.#inPayload && this.#headerFilled === 0;
  }

  /** Memory held for a frame of which only a part has arrived, in bytes. */
  get heldBytes(): number {
    return this.#payload.length;
  }

  /** Takes the next bytes. Throws {@link ProtocolError}; the decoder is of no use after that. */
  push(chunk: Uint8Array): void {
    let at = 0;
    while (at < chunk.length) {
      at = this.#inPayload ? this.#takePayload(chunk, at) : this.#takeHeader(chunk, at);
    }
  }

  #takeHeader(chunk: Uint8Array, at: number): number {
    const taken = Math.min(HEADER_BYTES - this.#headerFilled, chunk.length - at);
    for (let i = 0; i < taken; i++) this.#headerBytes[this.#headerFilled + i] = chunk[at + i]!;
    this.#headerFilled += taken;
    if (this.#headerFilled === HEADER_BYTES) {
      this.#headerFilled = 0;
      readHeader(this.#headerView, this.#header);
      checkHeader(this.#header, this.#headerView.getUint16(2));
      this.#payloadFilled = 0;
      this.#inPayload = this.#header.length > 0;
      if (!this.#inPayload) this.#sink.onFrame(this.#header, NO_BYTES);
    }
    return at + taken;
  }

  #takePayload(chunk: Uint8Array, at: number): number {
    const header = this.#header;
    const taken = Math.min(header.length - this.#payloadFilled, chunk.length - at);
    const part = chunk.subarray(at, at + taken);
    const position = this.#payloadFilled;
    this.#payloadFilled += taken;
    const complete = this.#payloadFilled === header.length;
    // Set before the sink runs: it may look at nothing here, but a throw must not replay the frame.
    if (complete) this.#inPayload = false;
    if (header.type === FrameType.DATA) {
      this.#sink.onData(header.stream, header.offset + position, part);
    } else if (complete && position === 0) {
      this.#sink.onFrame(header, part);
    } else {
      this.#gather(part, position, complete);
    }
    return at + taken;
  }

  #gather(part: Uint8Array, position: number, complete: boolean): void {
    if (position === 0) this.#payload = new Uint8Array(this.#header.length);
    this.#payload.set(part, position);
    if (!complete) return;
    const payload = this.#payload;
    this.#payload = NO_BYTES;
    this.#sink.onFrame(this.#header, payload);
  }
}

/** Reads a u64; a value beyond 2^53-1 comes out larger than {@link OFFSET_MAX}. */
export function readU64(view: DataView, at: number): number {
  return view.getUint32(at) * 0x1_0000_0000 + view.getUint32(at + 4);
}

function readHeader(view: DataView, header: FrameHeader): void {
  header.type = view.getUint8(0);
  header.flags = view.getUint8(1);
  header.length = view.getUint32(4);
  header.stream = readU64(view, 8);
  header.offset = readU64(view, 16);
}

function checkHeader(header: FrameHeader, reserved: number): void {
  const rule = FRAME_RULES.get(header.type);
  if (rule === undefined) {
    throw unknownToThisVersion('frame-type', `unknown frame type ${frameName(header.type)}`);
  }
  if ((header.flags & ~rule.flags) !== 0) {
    throw unknownToThisVersion('frame-flags', `${rule.name} with unknown flags ${header.flags}`);
  }
  if (reserved !== 0) {
    throw unknownToThisVersion('frame-reserved', `${rule.name} with reserved bits set`);
  }
  if (header.length < rule.payloadBytesMin || header.length > rule.payloadBytesMax) {
    throw new ProtocolError(
      'frame-length',
      `${rule.name} of ${header.length} bytes, allowed ${rule.payloadBytesMin} to ${rule.payloadBytesMax}`,
    );
  }
  if (header.stream > OFFSET_MAX || (header.stream !== 0) !== rule.ofStream) {
    throw new ProtocolError('frame-stream', `${rule.name} with stream id ${header.stream}`);
  }
  if (header.offset > OFFSET_MAX - header.length) {
    throw new ProtocolError('frame-offset', `${rule.name} with an offset beyond 2^53`);
  }
}
