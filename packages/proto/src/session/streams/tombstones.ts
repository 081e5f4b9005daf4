import type { StreamCode } from '../../wire/codes.ts';

/** So many ends on one lane are worth a PING of their own, whose answer lets them be forgotten. */
const UNCONFIRMED_MAX = 1024;

/**
 * So many are memory that a peer takes by not answering PINGs. Without a lane they are fewer: the
 * streams there were, and those that this side may open before the peer hears of any.
 */
const ENDS_MAX = 262_144;

interface Batch {
  /** Of a PING that was sent after these streams' last frames. */
  readonly sequence: number;
  readonly streams: readonly number[];
}

/** Ends said on one lane, in the order of its frames. */
interface LaneEnds {
  fresh: number[];
  batches: Batch[];
}

/**
 * Streams that have ended here while the peer may not have heard it yet: the frame that says so
 * may be lost with its lane. The answer to a PING that followed it on the lane is proof that it
 * arrived; until then a RESUME says it again.
 */
export class Tombstones {
  /** How each stream ended; undefined is cleanly. */
  readonly #ended = new Map<number, StreamCode | undefined>();
  readonly #byLane = new Map<number, LaneEnds>();

  get size(): number {
    return this.#ended.size;
  }

  get tooMany(): boolean {
    return this.#ended.size > ENDS_MAX;
  }

  entries(): Iterable<readonly [number, StreamCode | undefined]> {
    return this.#ended;
  }

  /** The stream's last frame goes out on `lane`; undefined when there is no lane to say it on. */
  add(stream: number, code: StreamCode | undefined, lane: number | undefined): void {
    this.#ended.set(stream, code);
    if (lane !== undefined) this.#of(lane).fresh.push(stream);
  }

  /** A RESUME on `lane` says all of them again, so that what was said there before is of no use. */
  saidAgain(lane: number): void {
    this.#byLane.set(lane, { fresh: [...this.#ended.keys()], batches: [] });
  }

  /** Whether a PING should not wait for the next heartbeat. */
  wantsPing(lane: number): boolean {
    return (this.#byLane.get(lane)?.fresh.length ?? 0) >= UNCONFIRMED_MAX;
  }

  /** A PING was sent on the lane. */
  pinged(lane: number, sequence: number): void {
    const ends = this.#byLane.get(lane);
    if (ends === undefined || ends.fresh.length === 0) return;
    ends.batches.push({ sequence, streams: ends.fresh });
    ends.fresh = [];
  }

  /**
   * Its answer came: the peer has read everything that was said before it. `confirmed` is told the
   * streams whose end that was.
   */
  ponged(lane: number, sequence: number, confirmed: (stream: number) => void): void {
    const ends = this.#byLane.get(lane);
    if (ends === undefined) return;
    while (ends.batches.length > 0 && ends.batches[0]!.sequence <= sequence) {
      for (const stream of ends.batches.shift()!.streams) {
        this.#ended.delete(stream);
        confirmed(stream);
      }
    }
  }

  /** What was said on the lane and not confirmed has to be said again. */
  laneLost(lane: number): void {
    this.#byLane.delete(lane);
  }

  clear(): void {
    this.#ended.clear();
    this.#byLane.clear();
  }

  #of(lane: number): LaneEnds {
    let ends = this.#byLane.get(lane);
    if (ends === undefined) {
      ends = { fresh: [], batches: [] };
      this.#byLane.set(lane, ends);
    }
    return ends;
  }
}
