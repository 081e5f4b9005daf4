/** Before what has failed is opened again, in ms; `failure` is 1 for the first in a row. */
export type ReopenDelay = (failure: number) => number;

/**
 * The one rule for whatever listens: what cannot be opened, or has failed or was closed since, is
 * opened again after a delay, a longer one each time, until it is stopped. That holds for a failed
 * accept, too: it leaves a server in doubt, which may never accept again or fail in a loop.
 * Connections that were accepted live on.
 */
export class Reopener {
  readonly #open: () => void;
  readonly #delayMs: ReopenDelay;
  #failures = 0;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(open: () => void, delayMs: ReopenDelay) {
    this.#open = open;
    this.#delayMs = delayMs;
  }

  /** It could not be opened, or has died. Nothing happens after `stop`. */
  failed(): void {
    clearTimeout(this.#timer);
    if (this.#stopped) return;
    this.#failures += 1;
    this.#timer = setTimeout(this.#open, this.#delayMs(this.#failures));
  }

  /** It has accepted a connection: the next failure is the first of a row. */
  works(): void {
    this.#failures = 0;
  }

  /** Opens nothing any more. */
  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }
}
