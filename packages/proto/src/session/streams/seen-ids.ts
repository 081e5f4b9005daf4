import { ProtocolError } from '../../wire/protocol-error.ts';

/** Ids the peer may be ahead with while an earlier one is under way on another lane. */
export const ABOVE_MAX = 65_536;

/**
 * Which stream ids the peer has opened. Its ids are dense, but those of several lanes overtake one
 * another: all up to a watermark, and some above it.
 */
export class SeenIds {
  readonly #first: number;
  /** Lowest id not seen. */
  #next: number;
  readonly #above = new Set<number>();

  /** `first`: the peer's first id, 1 for a dialler's streams and 2 for an acceptor's. */
  constructor(first: 1 | 2) {
    this.#first = first;
    this.#next = first;
  }

  /** All ids up to this one were seen; 0 when none. */
  get watermark(): number {
    return Math.max(0, this.#next - 2);
  }

  get aboveCount(): number {
    return this.#above.size;
  }

  /** The ids seen above the watermark, in no order. */
  above(): Iterable<number> {
    return this.#above.values();
  }

  has(id: number): boolean {
    return this.#ofPeer(id) && (id < this.#next || this.#above.has(id));
  }

  /** False when the id was seen before. Throws {@link ProtocolError} `stream-id`. */
  add(id: number): boolean {
    if (!this.#ofPeer(id)) {
      throw new ProtocolError('stream-id', `stream ${id} is not the peer's to open`);
    }
    if (this.has(id)) return false;
    if (id !== this.#next) {
      this.#addAbove(id);
      return true;
    }
    do this.#next += 2;
    while (this.#above.delete(this.#next));
    return true;
  }

  #ofPeer(id: number): boolean {
    return id >= this.#first && (id - this.#first) % 2 === 0;
  }

  #addAbove(id: number): void {
    if (this.#above.size >= ABOVE_MAX) {
      throw new ProtocolError(
        'stream-id',
        `stream ${id} while ${ABOVE_MAX} others wait for stream ${this.#next}`,
      );
    }
    this.#above.add(id);
  }
}
