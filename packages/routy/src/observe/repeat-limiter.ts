/** A value that came again and again, and how often since it was last reported. */
export interface Repeated<T> {
  /** The last one. */
  readonly value: T;
  readonly count: number;
}

interface Entry<T> {
  value: T;
  /** Reported at once since the interval began. */
  written: number;
  count: number;
  sinceMs: number;
}

/**
 * Keeps what repeats from filling the log: the first ones are reported at once, the following ones
 * are counted and reported together once an interval. What stayed away for a whole interval is
 * forgotten, so its next coming is a first again. Pure: time is an argument.
 */
export class RepeatLimiter<T> {
  readonly #intervalMs: number;
  readonly #keysMax: number;
  readonly #entries = new Map<string, Entry<T>>();

  /**
   * `keysMax` bounds memory: beyond it a further one is not remembered, so each time is a first. No
   * other is forgotten for it, as its count would be lost.
   */
  constructor(intervalMs: number, keysMax: number) {
    this.#intervalMs = intervalMs;
    this.#keysMax = keysMax;
  }

  /**
   * True when this one is to be reported now, false when it was only counted. `atOnceMax`: so many
   * of an interval are reported at once.
   */
  note(nowMs: number, key: string, value: T, atOnceMax = 1): boolean {
    const entry = this.#entries.get(key);
    if (entry === undefined) {
      if (this.#entries.size < this.#keysMax) {
        this.#entries.set(key, { value, written: 1, count: 0, sinceMs: nowMs });
      }
      return true;
    }
    entry.value = value;
    if (entry.count === 0 && entry.written < atOnceMax) {
      entry.written += 1;
      return true;
    }
    entry.count += 1;
    return false;
  }

  /** What repeated during an interval that has ended; called from time to time. */
  due(nowMs: number): Repeated<T>[] {
    const repeated: Repeated<T>[] = [];
    for (const [key, entry] of this.#entries) {
      if (nowMs - entry.sinceMs < this.#intervalMs) continue;
      if (entry.count === 0) {
        this.#entries.delete(key);
        continue;
      }
      repeated.push({ value: entry.value, count: entry.count });
      entry.count = 0;
      // Counted from now on, until it stays away.
      entry.written = Number.POSITIVE_INFINITY;
      entry.sinceMs = nowMs;
    }
    return repeated;
  }

  /** Everything counted and not yet reported; forgets all. */
  flush(): Repeated<T>[] {
    const rest = [...this.#entries.values()].filter((entry) => entry.count > 0);
    this.#entries.clear();
    return rest.map(({ value, count }) => ({ value, count }));
  }

  /** Forgets what was counted of some, without a report. */
  forget(which: (value: T) => boolean): void {
    for (const [key, { value }] of this.#entries) if (which(value)) this.#entries.delete(key);
  }

  get size(): number {
    return this.#entries.size;
  }
}
