import { performance } from 'node:perf_hooks';

/** How long the lanes of one peer may take in one turn of the event loop, in ms. */
const SLICE_MS = 2;

/** What can be told to wait. */
interface Pausable {
  pause(): void;
  resume(): void;
}

/**
 * The turns that the lanes of one peer take together. What a peer sends costs time to work on, and
 * some of it far more than its bytes: after a slice of time its lanes are not read any more until
 * the event loop has come round, so that the bytes of others go in between.
 */
export class PeerTurn {
  readonly #lanes = new Set<Pausable>();
  readonly #onEmpty: () => void;
  readonly #onRound = () => this.#goOn();
  #spentMs = 0;
  #waits = false;

  constructor(onEmpty: () => void) {
    this.#onEmpty = onEmpty;
  }

  join(lane: Pausable): void {
    this.#lanes.add(lane);
    if (this.#waits) lane.pause();
  }

  leave(lane: Pausable): void {
    this.#lanes.delete(lane);
    if (this.#lanes.size === 0) this.#onEmpty();
  }

  /** Work for the peer began at `sinceMs`, on the clock of `performance.now()`, and is done. */
  spent(sinceMs: number): void {
    this.#spentMs += performance.now() - sinceMs;
    if (this.#spentMs < SLICE_MS || this.#waits) return;
    this.#waits = true;
    for (const lane of this.#lanes) lane.pause();
    setImmediate(this.#onRound);
  }

  #goOn(): void {
    this.#spentMs = 0;
    this.#waits = false;
    for (const lane of this.#lanes) lane.resume();
  }
}

/** The turns of all peers that have a lane. */
export class PeerTurns {
  readonly #byPeer = new Map<string, PeerTurn>();

  /** `peer`: `site/node`. */
  of(peer: string): PeerTurn {
    const known = this.#byPeer.get(peer);
    if (known !== undefined) return known;
    const turn = new PeerTurn(() => this.#byPeer.delete(peer));
    this.#byPeer.set(peer, turn);
    return turn;
  }
}
