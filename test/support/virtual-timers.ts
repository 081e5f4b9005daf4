import type { Timers } from '../../packages/link/src/transport/timers.ts';

interface Entry {
  readonly at: number;
  readonly fire: () => void;
}

/** A clock that moves when told to; begins at 0. */
export class VirtualTimers implements Timers {
  #now = 0;
  /** Sorted by time; equal times in the order they were set. */
  #entries: Entry[] = [];

  now(): number {
    return this.#now;
  }

  after(delayMs: number, fire: () => void): () => void {
    const entry = { at: this.#now + Math.max(0, delayMs), fire };
    const index = this.#entries.findIndex((other) => other.at > entry.at);
    this.#entries.splice(index === -1 ? this.#entries.length : index, 0, entry);
    return () => {
      this.#entries = this.#entries.filter((other) => other !== entry);
    };
  }

  /** Timers that have not fired. */
  get pending(): number {
    return this.#entries.length;
  }

  /** Moves on by `ms`, firing what falls due on the way. */
  advance(ms: number): void {
    const until = this.#now + ms;
    for (let next = this.#entries[0]; next !== undefined && next.at <= until; ) {
      this.#entries.shift();
      this.#now = Math.max(this.#now, next.at);
      next.fire();
      next = this.#entries[0];
    }
    this.#now = until;
  }

  /** Moves on until nothing is left to fire. */
  run(): void {
    for (let next = this.#entries[0]; next !== undefined; next = this.#entries[0]) {
      this.advance(next.at - this.#now);
    }
  }
}
