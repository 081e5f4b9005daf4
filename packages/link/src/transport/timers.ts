/** Time for what must run under a virtual clock in tests. */
export interface Timers {
  /** Milliseconds since some fixed moment; never goes back. */
  now(): number;
  /** Calls `fire` once, never before it returns, `delayMs` (>= 0) from now; the result cancels it. */
  after(delayMs: number, fire: () => void): () => void;
}

/** Milliseconds since 1970 as of the start of the process; setting the clock does not disturb it. */
export const realTimers: Timers = {
  now: () => performance.timeOrigin + performance.now(),
  after(delayMs, fire) {
    if (delayMs <= 0) {
      const soon = setImmediate(fire);
      return () => clearImmediate(soon);
    }
    const timer = setTimeout(fire, delayMs);
    return () => clearTimeout(timer);
  },
};
