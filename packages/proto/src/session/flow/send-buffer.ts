import { invariant } from '../../base/errors.ts';

/**
 * The bytes of one direction of a stream from the first unacknowledged one on. It is the send
 * queue and the replay buffer in one: `acked <= sent <= everSent <= written`, all absolute byte
 * offsets. Chunks are kept as they came and handed out as views.
 */
export class SendBuffer {
  #chunks: Uint8Array[] = [];
  /** Index of the first chunk that still holds an unacknowledged byte. */
  #head = 0;
  /** Offset of that chunk's first byte. */
  #headOffset = 0;
  /** Index of the chunk that holds the byte at `sent`. */
  #cursor = 0;
  /** Bytes of that chunk already sent. */
  #cursorSkip = 0;
  #acked = 0;
  #sent = 0;
  #everSent = 0;
  #written = 0;

  /** Bytes the peer has delivered. */
  get acked(): number {
    return this.#acked;
  }

  /** Offset of the byte that `take` hands out next. */
  get sent(): number {
    return this.#sent;
  }

  /** Highest offset ever handed out by `take`: what the peer may have received. */
  get everSent(): number {
    return this.#everSent;
  }

  /** Bytes ever put in. */
  get written(): number {
    return this.#written;
  }

  get unsentBytes(): number {
    return this.#written - this.#sent;
  }

  /** Bytes held for sending or replay. */
  get heldBytes(): number {
    return this.#written - this.#acked;
  }

  push(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    this.#chunks.push(chunk);
    this.#written += chunk.length;
  }

  /** Appends exactly `length` unsent bytes to `out` as views. `length` is at most `unsentBytes`. */
  take(length: number, out: Uint8Array[]): void {
    invariant(
      length >= 0 && length <= this.unsentBytes,
      'bytes are taken that are not there',
      length,
      this.unsentBytes,
    );
    let left = length;
    while (left > 0) {
      const chunk = this.#chunks[this.#cursor]!;
      const available = chunk.length - this.#cursorSkip;
      if (available <= left) {
        out.push(this.#cursorSkip === 0 ? chunk : chunk.subarray(this.#cursorSkip));
        this.#cursor++;
        this.#cursorSkip = 0;
        left -= available;
      } else {
        out.push(chunk.subarray(this.#cursorSkip, this.#cursorSkip + left));
        this.#cursorSkip += left;
        left = 0;
      }
    }
    this.#sent += length;
    if (this.#sent > this.#everSent) this.#everSent = this.#sent;
  }

  /**
   * Takes `offset`, which lies within `acked..everSent`, or is `acked`, as what is to be sent next: what was sent
   * beyond it may be lost, what lies below has arrived.
   */
  rewind(offset: number): void {
    this.#expectSent(offset);
    let cursor = this.#head;
    let start = this.#headOffset;
    while (cursor < this.#chunks.length && start + this.#chunks[cursor]!.length <= offset) {
      start += this.#chunks[cursor]!.length;
      cursor++;
    }
    this.#cursor = cursor;
    this.#cursorSkip = offset - start;
    this.#sent = offset;
  }

  /**
   * Forgets everything below `offset`, which lies within `acked..everSent`; after a rewind the
   * rest of it need not be sent again. Returns bytes freed.
   */
  ack(offset: number): number {
    this.#expectSent(offset);
    const freed = offset - this.#acked;
    this.#acked = offset;
    while (this.#head < this.#chunks.length) {
      const length = this.#chunks[this.#head]!.length;
      if (this.#headOffset + length > offset) break;
      // Cleared at once: the array is compacted late, the chunk's memory must not wait for it.
      this.#chunks[this.#head] = EMPTY;
      this.#headOffset += length;
      this.#head++;
    }
    if (offset > this.#sent) {
      this.#cursor = this.#head;
      this.#cursorSkip = offset - this.#headOffset;
      this.#sent = offset;
    }
    this.#compact();
    return freed;
  }

  /**
   * Forgets everything; nothing is to be sent any more, and `everSent` stays. Returns bytes freed.
   * A stream that is gone may wait in a queue until its turn, its bytes must not.
   */
  drop(): number {
    const freed = this.heldBytes;
    this.#chunks = [];
    this.#acked = this.#written;
    this.#sent = this.#written;
    return freed;
  }

  /** What was dropped counts as acknowledged, sent or not. */
  #expectSent(offset: number): void {
    const max = Math.max(this.#everSent, this.#acked);
    invariant(offset >= this.#acked, 'bytes are wanted that are gone', offset, this.#acked);
    invariant(offset <= max, 'an offset lies beyond what was sent', offset, max);
  }

  #compact(): void {
    if (this.#head === this.#chunks.length) {
      if (this.#head > 0) this.#chunks = [];
    } else if (this.#head >= 32 && this.#head * 2 >= this.#chunks.length) {
      this.#chunks = this.#chunks.slice(this.#head);
    } else {
      return;
    }
    this.#cursor -= this.#head;
    this.#head = 0;
  }
}

const EMPTY = new Uint8Array(0);
