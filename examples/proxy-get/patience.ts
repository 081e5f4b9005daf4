/** Runs out when it was not renewed for some time. */
export class Patience {
  readonly #lengthMs: number;
  readonly #over = new AbortController();
  #timer: NodeJS.Timeout | undefined;

  constructor(lengthMs: number) {
    this.#lengthMs = lengthMs;
    this.renew();
  }

  /** Fires when it is over. */
  get signal(): AbortSignal {
    return this.#over.signal;
  }

  renew(): void {
    this.pause();
    if (!this.signal.aborted) this.#timer = setTimeout(() => this.#over.abort(), this.#lengthMs);
  }

  /** Until it is renewed. */
  pause(): void {
    clearTimeout(this.#timer);
  }

  /** Nobody waits any more. */
  end(): void {
    this.pause();
    this.#over.abort();
  }
}
