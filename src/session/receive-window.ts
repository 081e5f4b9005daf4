import { ProtocolError } from '../wire/protocol-error.ts';
import type { Budget } from './budget.ts';

/** Bytes every stream may receive from its start; sent in HELLO, so early data needs no answer. */
export const WINDOW_BYTES_MIN = 8 * 1024;

/** What a stream is granted when it is opened or accepted, while memory is ample. */
const WINDOW_BYTES_START = 64 * 1024;

/** Shares of the pool up to which streams start wide, and up to which they grow. */
const START_WIDE_SHARE = 1 / 4;
const GROWTH_SHARE = 1 / 2;

/** Half a window consumed faster than this is always a reason to grow: timers are no finer. */
const GROWTH_INTERVAL_MS_MIN = 0.5;

/**
 * The receiving half of a stream's flow control. Credit is an absolute offset. The window starts
 * small and doubles while the sender uses half of it up within two round trips, as QUIC
 * implementations do (RFC 9000 section 4.2 leaves the policy open).
 */
export class ReceiveWindow {
  readonly #pool: Budget;
  readonly #windowMax: number;
  #window: number;
  #limit: number;
  #received = 0;
  #delivered = 0;
  /** What the peer was last told. */
  #toldDelivered = 0;
  #grantedAtMs: number;

  /** `initial` bytes were taken from `pool` by the caller and are given back by {@link close}. */
  constructor(initial: number, windowMax: number, pool: Budget, nowMs: number) {
    this.#window = initial;
    this.#limit = initial;
    this.#windowMax = windowMax;
    this.#pool = pool;
    this.#grantedAtMs = nowMs;
  }

  /** Offset up to which the peer may send. */
  get limit(): number {
    return this.#limit;
  }

  /** Bytes that arrived. */
  get received(): number {
    return this.#received;
  }

  /** Bytes that were written to their destination. */
  get delivered(): number {
    return this.#delivered;
  }

  get window(): number {
    return this.#window;
  }

  /** True when the peer does not know yet how much was delivered. */
  get ackDue(): boolean {
    return this.#delivered > this.#toldDelivered;
  }

  /** Counts bytes that arrived at `offset`; they must be the next ones and within the credit. */
  receive(offset: number, length: number): void {
    if (offset !== this.#received) {
      throw new ProtocolError('frame-offset', `DATA at ${offset}, expected ${this.#received}`);
    }
    if (offset + length > this.#limit) {
      throw new ProtocolError(
        'credit-exceeded',
        `DATA up to ${offset + length}, credit ends at ${this.#limit}`,
      );
    }
    this.#received += length;
  }

  /** Counts `bytes` as delivered. True when new credit should be sent now. */
  deliver(nowMs: number, bytes: number, rttMs: number | undefined): boolean {
    this.#delivered += bytes;
    const used = this.#window - (this.#limit - this.#delivered);
    if (used * 2 < this.#window) return false;
    this.#grow(nowMs, rttMs);
    return true;
  }

  /** Raises the limit as far as the window reaches and takes it as told to the peer. */
  grant(nowMs: number): void {
    this.#limit = this.#delivered + this.#window;
    this.#toldDelivered = this.#delivered;
    this.#grantedAtMs = nowMs;
  }

  /** Widens the window of a stream at its start while the pool is hardly used. */
  start(nowMs: number): void {
    if (this.#pool.usedLessThan(START_WIDE_SHARE)) this.#widen(WINDOW_BYTES_START);
    this.grant(nowMs);
  }

  /** Gives the window's bytes back to the pool. */
  close(): void {
    this.#pool.release(this.#window);
    this.#window = 0;
  }

  #grow(nowMs: number, rttMs: number | undefined): void {
    const fastMs = Math.max(2 * (rttMs ?? 0), GROWTH_INTERVAL_MS_MIN);
    // Growth leaves the rest of the pool to streams that are yet to open.
    const fast = nowMs - this.#grantedAtMs < fastMs;
    if (fast && this.#pool.usedLessThan(GROWTH_SHARE)) this.#widen(2 * this.#window);
  }

  #widen(bytes: number): void {
    const target = Math.min(bytes, this.#windowMax);
    if (target > this.#window && this.#pool.tryTake(target - this.#window)) this.#window = target;
  }
}
