/** Things that are kept however long nobody wants them. */
const KEPT_MIN = 16;

/** After so long without use, in ms, what is not wanted is dropped. */
const KEPT_MS = 10_000;

/**
 * Things that are dear to make and are used by one at a time. As many are kept as were in use at once of
 * late, so that a crowd makes each but once; when it has gone, a few.
 */
export class IdlePool<T> {
  readonly #make: () => T;
  #idle: T[] = [];
  #busy = 0;
  /** Most in use at once since the timer was set. */
  #busiest = 0;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(make: () => T) {
    this.#make = make;
  }

  /** Whoever takes one gives it back, or forgets it with the pool. */
  take(): T {
    this.#busy += 1;
    this.#busiest = Math.max(this.#busiest, this.#busy);
    return this.#idle.pop() ?? this.#make();
  }

  give(thing: T): void {
    this.#busy -= 1;
    if (this.#isClosed) return;
    this.#idle.push(thing);
    if (this.#idle.length > KEPT_MIN) this.#trimLater();
  }

  /** Keeps nothing any more. */
  close(): void {
    this.#isClosed = true;
    this.#idle = [];
    clearTimeout(this.#timer);
  }

  #trimLater(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      const wanted = Math.max(KEPT_MIN, this.#busiest - this.#busy);
      this.#busiest = this.#busy;
      if (this.#idle.length > wanted) this.#idle.length = wanted;
      if (this.#idle.length > KEPT_MIN) this.#trimLater();
    }, KEPT_MS).unref();
  }
}
