/** Lines of one event that were not written. */
export interface Unwritten<T> {
  readonly event: string;
  readonly count: number;
  /** The last one; undefined when it was forgotten. */
  readonly value: T | undefined;
}

interface Event<T> {
  written: number;
  count: number;
  value: T | undefined;
}

/**
 * Bounds the lines that others can cause, however many and different they are: so many of an event
 * and so many in all in an interval, but always one of each event. What is beyond is counted. Holds
 * as much as there are events. Pure: time is an argument.
 */
export class LineCap<T> {
  readonly #limits: { readonly intervalMs: number; readonly event: number; readonly all: number };
  readonly #events = new Map<string, Event<T>>();
  #sinceMs = Number.NEGATIVE_INFINITY;
  #written = 0;

  constructor(limits: { intervalMs: number; event: number; all: number }) {
    this.#limits = limits;
  }

  /** True when the line is to be written; `lines`: how many it stands for when it is not. */
  admits(nowMs: number, event: string, value: T, lines = 1): boolean {
    if (this.#events.size === 0 && nowMs - this.#sinceMs >= this.#limits.intervalMs) {
      this.#begin(nowMs);
    }
    const entry = this.#events.get(event) ?? { written: 0, count: 0, value: undefined };
    this.#events.set(event, entry);
    const within = this.#written < this.#limits.all && entry.written < this.#limits.event;
    if (within || entry.written === 0) {
      entry.written += 1;
      this.#written += 1;
      return true;
    }
    entry.count += lines;
    entry.value = value;
    return false;
  }

  /** What was not written in an interval that has ended; called from time to time. */
  due(nowMs: number): Unwritten<T>[] {
    return nowMs - this.#sinceMs < this.#limits.intervalMs ? [] : this.flush(nowMs);
  }

  /** The same at once; another interval begins. */
  flush(nowMs: number): Unwritten<T>[] {
    const unwritten = [...this.#events]
      .filter(([, { count }]) => count > 0)
      .map(([event, { count, value }]) => ({ event, count, value }));
    this.#events.clear();
    this.#begin(nowMs);
    return unwritten;
  }

  /** Keeps the count but not the last one of some. */
  forget(which: (value: T) => boolean): void {
    for (const entry of this.#events.values()) {
      if (entry.value !== undefined && which(entry.value)) entry.value = undefined;
    }
  }

  #begin(nowMs: number): void {
    this.#sinceMs = nowMs;
    this.#written = 0;
  }
}
