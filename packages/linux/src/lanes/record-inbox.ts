import type { Slab } from '../memory/slab-pool.ts';
import type { RecordLayer } from '../tls/record-layer.ts';

/**
 * Up to this many bytes are left in the slab that they were read to, and what they say is copied; the
 * slab of more is left to whoever gets the plaintext, as views of it.
 */
const COPIED_BYTES_MAX = 64 * 1024;

/** Header and body of the longest record (RFC 8446 §5.2). */
const RECORD_BYTES_MAX = 5 + 2 ** 14 + 256;

const NOTHING = new Uint8Array(0);

/** Puts the peer's records together again, which come in pieces of any size, and opens them. */
export class RecordInbox {
  readonly #layer: RecordLayer;
  readonly #onPiece: (piece: Uint8Array) => void;
  readonly #onPassingPiece = (piece: Uint8Array) => this.#onPiece(piece.slice());
  /** Of a record that is not complete; less than one. */
  #begun: Uint8Array = NOTHING;

  /** `onPiece` gets the plaintext in order, as views that are its to keep. */
  constructor(layer: RecordLayer, onPiece: (piece: Uint8Array) => void) {
    this.#layer = layer;
    this.#onPiece = onPiece;
  }

  /** Bytes in a slab. True: the slab was surrendered to who has the plaintext now. */
  take(bytes: Uint8Array, slab: Slab): boolean {
    const isPassing = bytes.length <= COPIED_BYTES_MAX;
    if (!isPassing) slab.surrender();
    const from = this.#begun.length === 0 ? 0 : this.#complete(bytes);
    if (from < bytes.length) this.#open(bytes.subarray(from), isPassing);
    return !isPassing;
  }

  /** Bytes that nobody else uses. */
  takeOwned(bytes: Uint8Array): void {
    this.#open(bytes, false);
  }

  #open(bytes: Uint8Array, isPassing: boolean): void {
    const used = this.#layer.receive(bytes, isPassing ? this.#onPassingPiece : this.#onPiece);
    this.#begun = used === bytes.length ? NOTHING : Uint8Array.from(bytes.subarray(used));
  }

  /** Joins what has begun with what follows it; returns how many bytes of that were used. */
  #complete(bytes: Uint8Array): number {
    const begun = this.#begun;
    // With this much of it, whatever has begun is complete.
    const part = bytes.subarray(0, RECORD_BYTES_MAX);
    const joined = new Uint8Array(begun.length + part.length);
    joined.set(begun);
    joined.set(part, begun.length);
    const used = this.#layer.receive(joined, this.#onPiece);
    this.#begun = used === 0 ? joined : NOTHING;
    return used === 0 ? part.length : used - begun.length;
  }
}
