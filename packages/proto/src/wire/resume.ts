import { STREAM_CODES, type StreamCode, streamCodeName } from './codes.ts';
import { type FrameWriter, writeU64 } from './frame-writer.ts';
import { FLAG_RESUME_LAST } from './layout.ts';
import { numberAt } from './payload.ts';
import { ProtocolError, unknownToThisVersion } from './protocol-error.ts';

/**
 * What RESUME carries: after the loss of a lane each side tells the other what it knows, as a set
 * of records over one or more frames. A record is a kind and its fields, big endian, and never
 * straddles two frames:
 *
 *     opened  u8 1, u64 seen, u64 opened                                  first of a set, once
 *     dead    u8 2, u64 epoch
 *     seen    u8 3, u64 id
 *     stream  u8 4, u8 flags, u64 id, u64 received, u64 delivered, u64 limit
 *     ended   u8 5, u64 id, u16 stream code or 0xffff
 */
export interface ResumeSink {
  /** All ids of the receiver's up to `seen` arrived; `opened`: highest id of the sender's, or 0. */
  opened(seen: number, opened: number): void;
  /** The sender has lost the lane of this epoch. */
  dead(epoch: number): void;
  /** An id of the receiver's that arrived, above the first record's `seen`. */
  seen(id: number): void;
  stream(entry: ResumeStream): void;
  /** The stream ended lately: with a reset of this code, or in both directions as it should. */
  ended(id: number, code: StreamCode | undefined): void;
}

/** How far the sender of the record is with a stream. Offsets are absolute. */
export interface ResumeStream {
  readonly id: number;
  /** It was accepted, as far as the sender knows. */
  readonly open: boolean;
  readonly finReceived: boolean;
  readonly finDelivered: boolean;
  /** Bytes that arrived with no gap below them. */
  readonly received: number;
  /** Bytes written to their destination. */
  readonly delivered: number;
  /** Credit the sender has granted. */
  readonly limit: number;
}

const RecordKind = { opened: 1, dead: 2, seen: 3, stream: 4, ended: 5 } as const;

/** Bytes of a whole record, the kind included. */
const RECORD_BYTES: Readonly<Record<number, number>> = {
  [RecordKind.opened]: 17,
  [RecordKind.dead]: 9,
  [RecordKind.seen]: 9,
  [RecordKind.stream]: 34,
  [RecordKind.ended]: 11,
};

const OPEN = 0x01;
const FIN_RECEIVED = 0x02;
const FIN_DELIVERED = 0x04;
const STREAM_FLAGS = OPEN | FIN_RECEIVED | FIN_DELIVERED;

const ENDED_CLEANLY = 0xffff;

/** Less than a frame may carry: other frames of the session must not wait behind a large one. */
const PAYLOAD_BYTES = 64 * 1024;

/** Writes one set: {@link opened} first, {@link end} last. */
export class ResumeWriter implements ResumeSink {
  readonly #writer: FrameWriter;
  readonly #bytes = new Uint8Array(PAYLOAD_BYTES);
  readonly #view = new DataView(this.#bytes.buffer);
  #end = 0;

  constructor(writer: FrameWriter) {
    this.#writer = writer;
  }

  opened(seen: number, opened: number): void {
    const at = this.#record(RecordKind.opened);
    writeU64(this.#view, at + 1, seen);
    writeU64(this.#view, at + 9, opened);
  }

  dead(epoch: number): void {
    writeU64(this.#view, this.#record(RecordKind.dead) + 1, epoch);
  }

  seen(id: number): void {
    writeU64(this.#view, this.#record(RecordKind.seen) + 1, id);
  }

  stream(entry: ResumeStream): void {
    const at = this.#record(RecordKind.stream);
    const open = entry.open ? OPEN : 0;
    const finReceived = entry.finReceived ? FIN_RECEIVED : 0;
    const finDelivered = entry.finDelivered ? FIN_DELIVERED : 0;
    this.#view.setUint8(at + 1, open | finReceived | finDelivered);
    writeU64(this.#view, at + 2, entry.id);
    writeU64(this.#view, at + 10, entry.received);
    writeU64(this.#view, at + 18, entry.delivered);
    writeU64(this.#view, at + 26, entry.limit);
  }

  ended(id: number, code: StreamCode | undefined): void {
    const at = this.#record(RecordKind.ended);
    writeU64(this.#view, at + 1, id);
    this.#view.setUint16(at + 9, code === undefined ? ENDED_CLEANLY : STREAM_CODES[code]);
  }

  /** Writes the last frame of the set. */
  end(): void {
    this.#flush(FLAG_RESUME_LAST);
  }

  /** Begins a record, in a new frame when this one is full. Returns where its kind stands. */
  #record(kind: number): number {
    const length = RECORD_BYTES[kind]!;
    if (this.#end + length > PAYLOAD_BYTES) this.#flush(0);
    const at = this.#end;
    this.#view.setUint8(at, kind);
    this.#end += length;
    return at;
  }

  #flush(flags: number): void {
    this.#writer.resume(flags, this.#bytes.subarray(0, this.#end));
    this.#end = 0;
  }
}

/**
 * Reads the records of one frame. Throws {@link ProtocolError} `resume` at what is no record and
 * `frame-payload` at a number beyond 2^53-1, after the sink took what came before. Whether the
 * records make a set, and whether they fit the session, is for the sink to judge.
 */
export function readResume(payload: Uint8Array, sink: ResumeSink): void {
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  let at = 0;
  while (at < payload.length) {
    const kind = payload[at]!;
    const length = RECORD_BYTES[kind];
    if (length === undefined) throw unknownToThisVersion('resume', `unknown record kind ${kind}`);
    if (at + length > payload.length) {
      throw new ProtocolError(
        'resume',
        `record of kind ${kind} cut at ${payload.length - at} of ${length} bytes`,
      );
    }
    readRecord(kind, view, at + 1, sink);
    at += length;
  }
}

function readRecord(kind: number, view: DataView, at: number, sink: ResumeSink): void {
  switch (kind) {
    case RecordKind.opened:
      sink.opened(numberAt(view, at), numberAt(view, at + 8));
      break;
    case RecordKind.dead:
      sink.dead(numberAt(view, at));
      break;
    case RecordKind.seen:
      sink.seen(numberAt(view, at));
      break;
    case RecordKind.stream:
      sink.stream(readStream(view, at));
      break;
    default:
      sink.ended(numberAt(view, at), readEnd(view.getUint16(at + 8)));
  }
}

function readStream(view: DataView, at: number): ResumeStream {
  const flags = view.getUint8(at);
  if ((flags & ~STREAM_FLAGS) !== 0) {
    throw unknownToThisVersion('resume', `stream record with unknown flags ${flags}`);
  }
  return {
    id: numberAt(view, at + 1),
    open: (flags & OPEN) !== 0,
    finReceived: (flags & FIN_RECEIVED) !== 0,
    finDelivered: (flags & FIN_DELIVERED) !== 0,
    received: numberAt(view, at + 9),
    delivered: numberAt(view, at + 17),
    limit: numberAt(view, at + 25),
  };
}

function readEnd(code: number): StreamCode | undefined {
  return code === ENDED_CLEANLY ? undefined : streamCodeName(code);
}
