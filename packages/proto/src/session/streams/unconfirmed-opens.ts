import { ABOVE_MAX } from './seen-ids.ts';
import type { StreamLane } from './stream.ts';

/** Where OPEN was said, and the last PING on that lane before it. */
interface Said {
  readonly lane: number;
  readonly after: number;
}

/**
 * Ids this side has opened and of which the peer is not known to have heard. The peer remembers
 * only so many above the first one it has not seen: this side must not go beyond.
 */
export class UnconfirmedOpens {
  /** Undefined: its OPEN waits for a lane. */
  readonly #ids = new Map<number, Said | undefined>();
  /** The peer has heard of all below it. */
  #lowest: number;

  /** `first`: 1 for a dialler's streams and 2 for an acceptor's. */
  constructor(first: 1 | 2) {
    this.#lowest = first;
  }

  get size(): number {
    return this.#ids.size;
  }

  /** Why the peer might not take `next`, the id that comes after all others; undefined if it must. */
  refusal(next: number): string | undefined {
    while (this.#lowest < next && !this.#ids.has(this.#lowest)) this.#lowest += 2;
    if (next - this.#lowest <= 2 * ABOVE_MAX) return undefined;
    return `${ABOVE_MAX} streams were opened after stream ${this.#lowest}, which the peer may not have seen`;
  }

  /** OPEN goes out on the lane, or waits for one. */
  opened(id: number, lane: StreamLane | undefined): void {
    this.#ids.set(id, lane && { lane: lane.id, after: lane.pinged });
  }

  /** The peer speaks of the stream, or has confirmed its end. */
  heard(id: number): void {
    this.#ids.delete(id);
  }

  /** The peer has seen all ids up to this one. */
  heardUpTo(id: number): void {
    for (; this.#lowest <= id; this.#lowest += 2) this.#ids.delete(this.#lowest);
  }

  /** A PING was answered: the peer has read everything that was said before it on the lane. */
  ponged(lane: number, sequence: number): void {
    for (const [id, said] of this.#ids) {
      if (said?.lane === lane && sequence > said.after) this.#ids.delete(id);
    }
  }

  clear(): void {
    this.#ids.clear();
  }
}
