import type { Timers } from '../../packages/link/src/transport/timers.ts';

/** A clock that stands still until it is moved. */
export class ManualTimers implements Timers {
  #nowMs = 1_000_000;
  #due: { readonly atMs: number; readonly fire: () => void }[] = [];

  now(): number {
    return this.#nowMs;
  }

  after(delayMs: number, fire: () => void): () => void {
    const entry = { atMs: this.#nowMs + delayMs, fire };
    this.#due.push(entry);
    return () => {
      this.#due = this.#due.filter((other) => other !== entry);
    };
  }

  /** Timers that are set. */
  get pending(): number {
    return this.#due.length;
  }

  /** Moves the clock without firing: the event loop was busy. */
  stall(ms: number): void {
    this.#nowMs += ms;
  }

  /** Moves the clock on; what is due then fires in order, and promises get their turns. */
  async advance(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms;
    for (;;) {
      const [next] = this.#due.filter(({ atMs }) => atMs <= endMs).sort((a, b) => a.atMs - b.atMs);
      if (next === undefined) break;
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      this.#due = this.#due.filter((entry) => entry !== next);
      next.fire();
      await settled();
    }
    this.#nowMs = endMs;
    await settled();
  }
}

/** Promises that can go on have gone on. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
