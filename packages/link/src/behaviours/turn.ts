import { setImmediate as nextRound } from 'node:timers/promises';

/** How long promises that are done at once may follow each other, in ms. */
const TURN_MS = 10;

/**
 * The turn of one loop of promises. What is there at once is taken without the event loop coming round:
 * heartbeats, and all else in the process, would wait for as long as that goes on.
 */
export class Turn {
  #sinceMs = performance.now();

  /** Others are to go before the next step. */
  get isOver(): boolean {
    return performance.now() - this.#sinceMs >= TURN_MS;
  }

  /** Resolves when others have gone. */
  async next(): Promise<void> {
    await nextRound();
    this.#sinceMs = performance.now();
  }
}
