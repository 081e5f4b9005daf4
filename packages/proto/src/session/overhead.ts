import type { Offers } from './offers.ts';
import type { LaneSet } from './streams/lane-set.ts';
import type { StreamLane } from './streams/stream.ts';
import type { StreamTable } from './streams/stream-table.ts';

/** A session holds so much beside the bytes of its streams without asking. */
const FREE_BYTES = 2 * 1024 * 1024;

/**
 * Counting costs as much as a small frame does: it is done once for so many bytes that came. They
 * can add no more than the free part; most would be names of one letter in OFFERS.
 */
const COUNTED_BYTES = 16 * 1024;

/** What one id costs that came ahead of others, and one end that the peer has not confirmed. */
const ABOVE_BYTES = 48;
const TOMBSTONE_BYTES = 96;

/**
 * What a peer makes a session hold beside the bytes of its streams: frames of which a part has
 * come, names it offers, ids, ends it does not confirm, answers it does not read. Beyond a small
 * part it is counted in the budget for receiving, so that it is within the peer's fair share.
 */
export class Overhead {
  readonly #store: StreamTable;
  readonly #lanes: LaneSet;
  readonly #offers: Offers;
  #counted = 0;
  /** Bytes that came since it was counted last. */
  #uncounted = 0;

  constructor(store: StreamTable, lanes: LaneSet, offers: Offers) {
    this.#store = store;
    this.#lanes = lanes;
    this.#offers = offers;
  }

  /** After `bytes` of the lane: why the session has to end; undefined when it may go on. */
  excess(lane: StreamLane, bytes: number): string | undefined {
    if (lane.flooded) return 'the peer asks faster than it reads the answers';
    if (!lane.established) return undefined;
    if (this.#store.tombstones.tooMany) return 'the peer does not confirm the ends of streams';
    this.#uncounted += bytes;
    // What is counted is to be let go as soon as it is over.
    if (this.#counted === 0 && this.#uncounted < COUNTED_BYTES) return undefined;
    this.#uncounted = 0;
    const before = this.#counted;
    this.#count(Math.max(0, this.#heldBytes() - FREE_BYTES));
    // Others may have come and made the share smaller: that alone is not the peer's doing.
    if (this.#counted <= before || this.#store.receivePool.room >= 0) return undefined;
    return 'the peer makes this side remember more than its share of the buffers';
  }

  /** Nothing is held any more. */
  close(): void {
    this.#count(0);
  }

  #count(bytes: number): void {
    const { receivePool } = this.#store;
    if (bytes > this.#counted) receivePool.take(bytes - this.#counted);
    else if (bytes < this.#counted) receivePool.release(this.#counted - bytes);
    this.#counted = bytes;
  }

  #heldBytes(): number {
    const { seen, tombstones } = this.#store;
    const lanes = this.#lanes.established;
    let bytes = seen.aboveCount * ABOVE_BYTES + tombstones.size * TOMBSTONE_BYTES;
    bytes += this.#offers.heldBytes(lanes);
    for (const { decoder, writer } of lanes) bytes += decoder.heldBytes + writer.pendingBytes;
    return bytes;
  }
}
