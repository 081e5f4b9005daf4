import { performance } from 'node:perf_hooks';

/** A timer that is later than this means that the process stood still, in ms. */
const LATE_MS = 500;

/** One session's timer. */
export class SessionTimer {
  readonly #onDue: () => void;
  readonly #nowMs: () => number;
  readonly #onTimer = () => this.#fired();
  readonly #onRead = () => this.#due();
  #timer: NodeJS.Timeout | undefined;
  /** What it was set to, and when it can fire at the earliest: the former may have passed. */
  #atMs = Infinity;
  #dueMs = Infinity;
  #stopped = false;

  /** `nowMs`: the clock of `set`; that of `performance` unless a test has another. */
  constructor(onDue: () => void, nowMs: () => number = () => performance.now()) {
    this.#onDue = onDue;
    this.#nowMs = nowMs;
  }

  /** Fires at `atMs`; undefined: it need not fire. */
  set(atMs: number | undefined): void {
    // An earlier timer stays: when it fires, it finds nothing to do and is set anew.
    if (this.#stopped || atMs === undefined || atMs >= this.#atMs) return;
    clearTimeout(this.#timer);
    const nowMs = this.#nowMs();
    this.#atMs = atMs;
    this.#dueMs = Math.max(atMs, nowMs);
    this.#timer = setTimeout(this.#onTimer, Math.ceil(this.#dueMs - nowMs));
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  #fired(): void {
    this.#timer = undefined;
    this.#atMs = Infinity;
    // After a standstill every timer is due before one byte was read. What the peer sent in the
    // meantime waits in the kernel and may prove that it lives: it is read first.
    if (this.#nowMs() - this.#dueMs > LATE_MS) setImmediate(this.#onRead);
    else this.#due();
  }

  #due(): void {
    if (!this.#stopped) this.#onDue();
  }
}
