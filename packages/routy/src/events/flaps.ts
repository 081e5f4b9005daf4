/** A lane that is lost sooner died young, in ms; also how long a peer is remembered for it. */
export const YOUNG_MS = 60_000;

/** So many lanes may die young in a row before their peer counts as flapping. */
export const YOUNG_DEATHS_MAX = 6;

interface Peer {
  deaths: number;
  lastMs: number;
}

/** Which peers' lanes come and go all the time. Pure: time is an argument. */
export class Flaps {
  /** By `site/node`, those whose lanes died longest ago first. */
  readonly #peers = new Map<string, Peer>();

  /** A lane with the peer, up since `upMs`, was lost. */
  lost(peer: string, upMs: number, nowMs: number): void {
    if (nowMs - upMs >= YOUNG_MS) return;
    const deaths = this.#fresh(peer, nowMs)?.deaths ?? 0;
    this.#peers.delete(peer);
    // Whose name never comes again would stay: certificates give names, and a site has many.
    for (const name of this.#peers.keys()) if (this.#fresh(name, nowMs) !== undefined) break;
    this.#peers.set(peer, { deaths: deaths + 1, lastMs: nowMs });
  }

  has(peer: string, nowMs: number): boolean {
    return (this.#fresh(peer, nowMs)?.deaths ?? 0) > YOUNG_DEATHS_MAX;
  }

  /** Peers that are remembered. */
  get size(): number {
    return this.#peers.size;
  }

  #fresh(name: string, nowMs: number): Peer | undefined {
    const peer = this.#peers.get(name);
    if (peer === undefined || nowMs - peer.lastMs < YOUNG_MS) return peer;
    this.#peers.delete(name);
    return undefined;
  }
}
