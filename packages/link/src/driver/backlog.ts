import { performance } from 'node:perf_hooks';
import type { LaneLink } from './lanes/lane-link.ts';

/** What a session has left to do in a later round, and whether it may have that now. */
export class Backlog {
  /** A round was not run, as others had their turn. */
  postponed = false;
  readonly #links: readonly LaneLink[];
  readonly #holdMsMax: number;
  #holdsSinceMs: number | undefined;

  /** `links`: of the session. `holdMsMax`: how long their heartbeats can wait. */
  constructor(links: readonly LaneLink[], holdMsMax: number) {
    this.#links = links;
    this.#holdMsMax = holdMsMax;
  }

  /** Events are left, and no lane of the session is read before they are dispatched. */
  get holds(): boolean {
    return this.#holdsSinceMs !== undefined;
  }

  /** Others have their turn, and the lanes will say when it is over. */
  get yields(): boolean {
    if (!this.#links.some((link) => link.yields && !link.gone)) return false;
    return performance.now() - (this.#holdsSinceMs ?? Infinity) < this.#holdMsMax;
  }

  /** Said after each dispatching: whether events are left. */
  hold(left: boolean): void {
    if (left) {
      this.#holdsSinceMs ??= performance.now();
      for (const link of this.#links) link.hold();
    } else if (this.holds) {
      this.#holdsSinceMs = undefined;
      for (const link of this.#links) link.release();
    }
  }
}
