import { invariant } from '../../base/errors.ts';
import { ProtocolError } from '../../wire/protocol-error.ts';
import type { Budget } from './budget.ts';

/** Bytes every stream may receive from its start; sent in HELLO, so early data needs no answer. */
export const WINDOW_BYTES_MIN = 8 * 1024;

/** What a stream is granted when it is opened or accepted, while memory is ample. */
const WINDOW_BYTES_START = 64 * 1024;

/** Shares of the pool up to which streams start wide, and up to which they grow. */
const START_WIDE_SHARE = 1 / 6;
const GROWTH_SHARE = 1 / 2;

/** The rate is measured over one round trip, and over no less than this: schedulers are no finer. */
const MEASURE_MS_MIN = 5;

/** After this many times the interval without a measurement the stream was idle, not slow. */
const IDLE_INTERVALS = 4;

/** Round trips whose bytes a window holds. */
const ROUND_TRIPS = 2;

/** The same for bytes that come over several lanes, where the fast ones wait for the slowest. */
const ROUND_TRIPS_SPREAD = 4;

/** New credit is sent when so much of the window has been used: a few frames for each window. */
const CREDIT_SHARE = 1 / 2;

/**
 * The same for bytes that come over several lanes. Each has its part of what is granted, and takes it at
 * once: while half of the window waits to be granted again, lanes whose part was the smaller run empty.
 */
const CREDIT_SHARE_SPREAD = 1 / 8;

/** Added to the round trips when the rate is turned into a window: what the two ends take. */
const SLACK_MS = 0.5;

/** An answer to credit that takes longer than this says that the sender had nothing to send, in ms. */
const ANSWER_MS_MAX = 20;

/** With each measurement what answers took at worst counts so much less. */
const ANSWER_DECAY = 7 / 8;

/** A window more than this many times what the rate needs shrinks. */
const SHRINK_FACTOR = 4;

/**
 * The receiving half of a stream's flow control. Credit is an absolute offset. The window starts
 * small and follows the rate of delivery: twice what is under way in a round trip keeps the path
 * full, and more would only stand in queues where other streams wait behind it. While the window
 * is what limits the rate this doubles it every round trip. RFC 9000 section 4.2 leaves the policy
 * open; the target is BBR's (draft-cardwell-iccrg-bbr-congestion-control section 4.2.3.2).
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
  /** The window the stream had at its start; it never falls below. */
  #floor: number;
  /** Where and when the measurement of the rate began. */
  #measuredFrom = 0;
  #measuredAtMs: number;

  /** Bytes came ahead of others since the measurement began, and before it did. */
  #spread = false;
  #wasSpread = false;
  /** What the last measured rate needs; undefined until one was measured. */
  #target: number | undefined;
  /** When credit was given to a sender that had none left; undefined once it has answered. */
  #creditedAtMs: number | undefined;
  /** What a sender without credit takes to answer new credit. */
  #answerMs = 0;

  /** `initial` bytes were taken from `pool` by the caller and are given back by {@link close}. */
  constructor(initial: number, windowMax: number, pool: Budget, nowMs: number) {
    this.#window = initial;
    this.#limit = initial;
    this.#windowMax = windowMax;
    this.#pool = pool;
    this.#floor = initial;
    this.#measuredAtMs = nowMs;
  }

  /** Offset up to which the peer may send. */
  get limit(): number {
    return this.#limit;
  }

  /** Bytes that arrived without a gap. */
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

  /** Throws unless the peer may have sent bytes up to `end`. */
  expect(end: number): void {
    if (end > this.#limit) {
      throw new ProtocolError(
        'credit-exceeded',
        `DATA up to ${end}, credit ends at ${this.#limit}`,
      );
    }
  }

  /** Bytes came: the sender has answered new credit, if it had none left. */
  answered(nowMs: number): void {
    if (this.#creditedAtMs === undefined) return;
    const tookMs = nowMs - this.#creditedAtMs;
    this.#creditedAtMs = undefined;
    if (tookMs < ANSWER_MS_MAX) this.#answerMs = Math.max(this.#answerMs, tookMs);
  }

  /** Bytes came ahead of others, over another lane. */
  ahead(): void {
    this.#spread = true;
  }

  /** Counts the next bytes, which have arrived. */
  receive(bytes: number): void {
    this.#received += bytes;
    invariant(
      bytes >= 0 && this.#received <= this.#limit,
      'more was taken than was granted',
      this.#received,
      this.#limit,
    );
  }

  /** Counts `bytes` as delivered. True when new credit should be sent now. */
  deliver(nowMs: number, bytes: number, rttMs: number | undefined): boolean {
    this.#delivered += bytes;
    invariant(
      bytes >= 0 && this.#delivered <= this.#received,
      'more was delivered than has come',
      this.#delivered,
      this.#received,
    );
    this.#measure(nowMs, rttMs ?? 0);
    const used = this.#window - (this.#limit - this.#delivered);
    const share = this.#spread || this.#wasSpread ? CREDIT_SHARE_SPREAD : CREDIT_SHARE;
    if (used < this.#window * share) return false;
    this.#resize();
    if (this.#received === this.#limit) this.#creditedAtMs ??= nowMs;
    return true;
  }

  /** Raises the limit as far as the window reaches and takes it as told to the peer. */
  grant(): void {
    this.#limit = this.#delivered + this.#window;
    this.#toldDelivered = this.#delivered;
  }

  /** Widens the window of a stream at its start while the pool is hardly used. */
  start(): void {
    if (this.#pool.usedLessThan(START_WIDE_SHARE)) this.#widen(WINDOW_BYTES_START);
    this.#floor = this.#window;
    this.grant();
  }

  /** Gives the window's bytes back to the pool. */
  close(): void {
    this.#pool.release(this.#window);
    this.#window = 0;
  }

  #measure(nowMs: number, rttMs: number): void {
    const elapsedMs = nowMs - this.#measuredAtMs;
    const intervalMs = Math.max(rttMs, MEASURE_MS_MIN);
    if (elapsedMs < intervalMs) return;
    if (elapsedMs < IDLE_INTERVALS * intervalMs) {
      const bytesPerMs = (this.#delivered - this.#measuredFrom) / elapsedMs;
      const roundTrips = this.#spread ? ROUND_TRIPS_SPREAD : ROUND_TRIPS;
      this.#target = Math.ceil(
        bytesPerMs * (roundTrips * Math.max(rttMs, this.#answerMs) + SLACK_MS),
      );
    }
    this.#answerMs *= ANSWER_DECAY;
    this.#wasSpread = this.#spread;
    this.#spread = false;
    this.#measuredFrom = this.#delivered;
    this.#measuredAtMs = nowMs;
  }

  #resize(): void {
    const target = this.#target ?? 0;
    if (this.#pool.room < 0) {
      // Others want their share: what is above this one's is given back.
      this.#narrow(0);
    } else if (target > this.#window) {
      // Growth leaves the rest of the pool to streams that are yet to open.
      if (this.#pool.usedLessThan(GROWTH_SHARE)) this.#widen(Math.min(target, 2 * this.#window));
    } else if (target * SHRINK_FACTOR < this.#window) {
      this.#narrow(Math.ceil(this.#window / 2));
    }
  }

  /** What was granted already cannot be taken back. */
  #narrow(bytes: number): void {
    const target = Math.max(bytes, this.#floor, this.#limit - this.#delivered);
    if (target >= this.#window) return;
    this.#pool.release(this.#window - target);
    this.#window = target;
  }

  #widen(bytes: number): void {
    const target = Math.min(bytes, this.#windowMax);
    if (target > this.#window && this.#pool.tryTake(target - this.#window)) this.#window = target;
  }
}
