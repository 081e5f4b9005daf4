import { HEADER_BYTES, lengthAt } from '../tls/record-format.ts';
import type { RecordLayer } from '../tls/record-layer.ts';

/** Header and body of the longest record (RFC 8446 §5.2). */
const RECORD_BYTES_MAX = 5 + 2 ** 14 + 256;

const NOTHING = new Uint8Array(0);

/**
 * Puts the peer's records together again, which come in pieces of any size, and opens them. What the
 * records of a read say is handed on as one piece, in the memory that they were read to.
 */
export class RecordInbox {
  readonly #layer: RecordLayer;
  readonly #onPiece: (piece: Uint8Array) => void;
  /** Of a record that is not complete the first `#begunBytes`; there is room for all of it. */
  #begun: Uint8Array = NOTHING;
  #begunBytes = 0;
  /** What the records of this read have said so far: `#filled` bytes from `#start` on. */
  #read: Uint8Array = NOTHING;
  #start = 0;
  #filled = 0;

  /** `onPiece` gets the plaintext in order, as views that are valid until it returns. */
  constructor(layer: RecordLayer, onPiece: (piece: Uint8Array) => void) {
    this.#layer = layer;
    this.#onPiece = onPiece;
  }

  /** What one read has brought; its memory is the caller's again when this returns. */
  take(bytes: Uint8Array): void {
    const from = this.#begunBytes === 0 ? 0 : this.#complete(bytes);
    if (from < bytes.length) this.#open(bytes.subarray(from));
  }

  #open(bytes: Uint8Array): void {
    this.#read = bytes;
    this.#filled = 0;
    const used = this.#layer.receive(bytes, this.#gather);
    this.#read = NOTHING;
    if (used < bytes.length) this.#begin(bytes.subarray(used));
    if (this.#filled > 0) this.#onPiece(bytes.subarray(this.#start, this.#start + this.#filled));
  }

  /** The first stays where it is; what is between the others and it closes up. */
  readonly #gather = (content: Uint8Array): void => {
    if (this.#filled === 0) this.#start = content.byteOffset - this.#read.byteOffset;
    else this.#read.set(content, this.#start + this.#filled);
    this.#filled += content.length;
  };

  #begin(part: Uint8Array): void {
    // Filled before it is read.
    this.#begun = Buffer.allocUnsafeSlow(
      part.length < HEADER_BYTES ? RECORD_BYTES_MAX : HEADER_BYTES + lengthAt(part, 0),
    );
    this.#begun.set(part);
    this.#begunBytes = part.length;
  }

  /** Adds to the record that has begun what is of it; returns how many bytes that were. */
  #complete(bytes: Uint8Array): number {
    const header = this.#add(bytes, HEADER_BYTES);
    if (this.#begunBytes < HEADER_BYTES) return header;
    // One that is longer than it may be is found out by the layer.
    const whole = Math.min(HEADER_BYTES + lengthAt(this.#begun, 0), RECORD_BYTES_MAX);
    const used = header + this.#add(bytes.subarray(header), whole);
    if (this.#begunBytes < whole) return used;
    const record = this.#begun.subarray(0, whole);
    this.#begun = NOTHING;
    this.#begunBytes = 0;
    this.#layer.receive(record, this.#onPiece);
    return used;
  }

  /** Until so many bytes are there. */
  #add(bytes: Uint8Array, until: number): number {
    const part = bytes.subarray(0, Math.max(0, until - this.#begunBytes));
    this.#begun.set(part, this.#begunBytes);
    this.#begunBytes += part.length;
    return part.length;
  }
}
