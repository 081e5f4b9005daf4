import type { EventQueue } from '../events.ts';
import type { Budget } from '../flow/budget.ts';
import type { Stream } from './stream.ts';

/** How often writers paused for the sake of a budget are looked at again. */
const RETRY_MS = 20;

/** What a writer may bring as soon as it is told to go on: a socket is read in pieces of 64 KiB. */
const WRITE_BYTES = 64 * 1024;

/** A stream that holds this much is bulk: it may not use up what others need to go on at all. */
const BULK_BYTES_MIN = 64 * 1024;

/** Share of the pool up to which bulk goes on; the rest is for streams that hold little. */
const BULK_SHARE = 1 / 2;

/**
 * What the writer of a stream on several lanes may bring before there is credit for it, so that all
 * of them have a turn when credit comes.
 */
const AHEAD_BYTES = 256 * 1024;

/**
 * Which writers have to pause, and who tells them to go on. A writer waits for credit, or for a
 * budget: credit comes with a frame of the peer, room in a budget may come from anywhere, another
 * session included, and is looked for by a timer. Peers decide how long their bytes are held, so
 * neither their credit nor their silence may take the whole pool from the others.
 */
export class PausedWriters {
  readonly #pool: Budget;
  readonly #events: EventQueue;
  /** Most bytes one stream holds before it waits for the peer, whatever that grants. */
  readonly #heldMax: number;
  /** Streams whose writer has credit and waits for the budget. */
  readonly #starved = new Set<Stream>();
  #retryAtMs: number | undefined;
  /** Of the last write: another session may use the budget up, and has no time to give. */
  #nowMs = 0;

  constructor(pool: Budget, events: EventQueue, heldMax: number) {
    this.#pool = pool;
    this.#events = events;
    this.#heldMax = heldMax;
  }

  get deadlineMs(): number | undefined {
    return this.#retryAtMs;
  }

  /** After a write or before one: true when the writer may go on; else it gets a `writable` event. */
  mayGoOn(nowMs: number, stream: Stream): boolean {
    this.#nowMs = nowMs;
    if (this.#hasCredit(stream) && this.#roomFor(stream) > 0) {
      stream.writerPaused = false;
      this.forget(stream);
      return true;
    }
    stream.writerPaused = true;
    if (this.#hasCredit(stream)) this.#starve(nowMs, stream);
    return false;
  }

  /** The budget is used up: no writer may bring anything more, not even what it has read already. */
  pauseAll(streams: Iterable<Stream>, tellWriters: (() => void) | undefined): void {
    if (tellWriters === undefined) return;
    for (const stream of streams) {
      if (stream.writerPaused) continue;
      stream.writerPaused = true;
      if (this.#hasCredit(stream)) this.#starve(this.#nowMs, stream);
    }
    tellWriters();
  }

  /** The stream has new credit. */
  credited(nowMs: number, stream: Stream): void {
    if (!stream.writerPaused || !this.#hasCredit(stream)) return;
    if (this.#roomFor(stream) > 0) this.#wake(stream);
    else this.#starve(nowMs, stream);
  }

  forget(stream: Stream): void {
    this.#starved.delete(stream);
    if (this.#starved.size === 0) this.#retryAtMs = undefined;
  }

  handleTimeout(nowMs: number): void {
    if (this.#retryAtMs === undefined || nowMs < this.#retryAtMs) return;
    // No more of them than there is room for: thousands may be waiting. Whoever has to pause again
    // waits behind the others.
    let woken = 0;
    for (const stream of this.#starved) {
      if (this.#pool.room <= woken) break;
      if (this.#roomFor(stream) <= woken) continue;
      this.#wake(stream);
      woken += WRITE_BYTES;
    }
    this.#retryAtMs = this.#starved.size > 0 ? nowMs + RETRY_MS : undefined;
  }

  #starve(nowMs: number, stream: Stream): void {
    this.#starved.add(stream);
    this.#retryAtMs ??= nowMs + RETRY_MS;
  }

  #wake(stream: Stream): void {
    stream.writerPaused = false;
    this.forget(stream);
    this.#events.push({ kind: 'writable', stream: stream.id });
  }

  #hasCredit({ send, creditLimit, flight }: Stream): boolean {
    const ahead = flight === undefined ? 0 : AHEAD_BYTES;
    return send.written < creditLimit + ahead && send.heldBytes < this.#heldMax;
  }

  /** Bytes of the pool that are there for a stream which holds as much as this one. */
  #roomFor({ send }: Stream): number {
    return this.#pool.roomWithin(send.heldBytes < BULK_BYTES_MIN ? 1 : BULK_SHARE);
  }
}
