import { HEADER_BYTES, lengthAt, OVERHEAD_BYTES } from '../tls/record-format.ts';
import type { RecordLayer } from '../tls/record-layer.ts';

/** Header and body of the longest record (RFC 8446 §5.2). */
const RECORD_BYTES_MAX = 5 + 2 ** 14 + 256;

const NOTHING = new Uint8Array(0);

/**
 * Puts the peer's records together again, which come in pieces of any size, and opens them. What all
 * records of a read say is handed on as one piece: a message of several records lies in one place, and
 * whoever takes it has one piece to look at, not eight.
 */
export class RecordInbox {
  readonly #layer: RecordLayer;
  readonly #onPiece: (piece: Uint8Array) => void;
  /** Of a record that is not complete; less than one. */
  #begun: Uint8Array = NOTHING;
  /** What the records of this read have said so far, in its first bytes. */
  #room: Uint8Array | undefined;
  #roomBytes = 0;
  #filled = 0;

  /** `onPiece` gets the plaintext in order, as views that are its to keep. */
  constructor(layer: RecordLayer, onPiece: (piece: Uint8Array) => void) {
    this.#layer = layer;
    this.#onPiece = onPiece;
  }

  /** What one read has brought: opened in its place, copied from there, and the caller's again. */
  take(bytes: Uint8Array): void {
    this.#roomBytes = this.#begun.length + bytes.length - OVERHEAD_BYTES;
    const from = this.#begun.length === 0 ? 0 : this.#complete(bytes);
    if (from < bytes.length) {
      const rest = bytes.subarray(from);
      const used = this.#layer.receive(rest, this.#gather);
      this.#begun = used === rest.length ? NOTHING : new Uint8Array(rest.subarray(used));
    }
    this.#handOn();
  }

  /** Records with plaintext have their overhead beside it, so the room is large enough for all of them. */
  readonly #gather = (content: Uint8Array): void => {
    // Filled before anybody sees it; what is not filled nobody sees.
    this.#room ??= Buffer.allocUnsafeSlow(this.#roomBytes);
    this.#room.set(content, this.#filled);
    this.#filled += content.length;
  };

  #handOn(): void {
    const room = this.#room;
    if (room === undefined) return;
    const piece = room.subarray(0, this.#filled);
    this.#room = undefined;
    this.#filled = 0;
    // Little in a large room, before a record that goes on, would keep all of it.
    this.#onPiece(piece.length * 2 < room.length ? new Uint8Array(piece) : piece);
  }

  /** Joins what has begun with what follows it; returns how many bytes of that were used. */
  #complete(bytes: Uint8Array): number {
    const begun = this.#begun;
    const part = bytes.subarray(0, wholeBytes(begun) - begun.length);
    const joined = Buffer.allocUnsafeSlow(begun.length + part.length);
    joined.set(begun);
    joined.set(part, begun.length);
    const used = this.#layer.receive(joined, this.#gather);
    this.#begun = used === 0 ? joined : NOTHING;
    return used === 0 ? part.length : used - begun.length;
  }
}

/** With so many bytes the record that has begun is whole: at most, as long as its length is not known. */
function wholeBytes(begun: Uint8Array): number {
  return begun.length < HEADER_BYTES ? RECORD_BYTES_MAX : HEADER_BYTES + lengthAt(begun, 0);
}
