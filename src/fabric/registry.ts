/** A session that asks to be admitted, as the peer's HELLO says. */
export interface AdmissionRequest {
  /** `site/node`, from the certificate. */
  readonly peer: string;
  /** Random per process start of the peer. */
  readonly instance: string;
  readonly sessionId: string;
  /** Grows with every transport of the same session; integer >= 0. */
  readonly epoch: number;
}

/** `displaced`: sessions whose transport the caller must destroy now, the admitted one's own id too. */
export type RegistryAdmission =
  | { readonly ok: true; readonly displaced: readonly string[] }
  | { readonly ok: false; readonly code: 'stale-epoch'; readonly reason: string };

interface PeerEntry {
  instance: string;
  /** Live sessions of that instance: id to epoch. */
  readonly sessions: Map<string, number>;
  /** Instances that lost to a newer one, oldest first, at most DISPLACED_MAX. */
  displaced: string[];
}

/** Displaced instances remembered for each peer. More restarts than this while one lives is absurd. */
const DISPLACED_MAX = 16;

/**
 * Decides which sessions of a peer live. A newer epoch of the same session wins over the older; a
 * restarted peer (another instance) wins over everything its former process left behind. Holds
 * entries only for peers that have a live session.
 */
export class SessionRegistry {
  readonly #peers = new Map<string, PeerEntry>();
  /** Session id to the peer that holds it. */
  readonly #owners = new Map<string, string>();

  /** Admits or refuses; an admitted session counts as live until {@link remove}. */
  admit(request: AdmissionRequest): RegistryAdmission {
    const { peer, instance, sessionId, epoch } = request;
    const owner = this.#owners.get(sessionId);
    if (owner !== undefined && owner !== peer) {
      return stale(`session ${sessionId} belongs to ${owner}`);
    }
    const entry = this.#peers.get(peer);
    if (entry === undefined) {
      this.#peers.set(peer, { instance, sessions: new Map([[sessionId, epoch]]), displaced: [] });
      this.#owners.set(sessionId, peer);
      return { ok: true, displaced: [] };
    }
    if (entry.instance !== instance) return this.#admitInstance(entry, request);
    const current = entry.sessions.get(sessionId);
    if (current !== undefined && epoch <= current) {
      return stale(`epoch ${epoch} of session ${sessionId} is not newer than ${current}`);
    }
    entry.sessions.set(sessionId, epoch);
    this.#owners.set(sessionId, peer);
    return { ok: true, displaced: current === undefined ? [] : [sessionId] };
  }

  /**
   * The session has ended. With `epoch`, nothing happens when a newer epoch has taken over since,
   * so the end of a displaced transport does not take its successor away.
   */
  remove(sessionId: string, epoch?: number): void {
    const peer = this.#owners.get(sessionId);
    const entry = peer === undefined ? undefined : this.#peers.get(peer);
    if (peer === undefined || entry === undefined) return;
    if (epoch !== undefined && entry.sessions.get(sessionId) !== epoch) return;
    entry.sessions.delete(sessionId);
    this.#owners.delete(sessionId);
    // Without a live session there is nothing an older instance could take away any more.
    if (entry.sessions.size === 0) this.#peers.delete(peer);
  }

  /** Ids of the peer's live sessions, oldest first. */
  sessionsOf(peer: string): string[] {
    return [...(this.#peers.get(peer)?.sessions.keys() ?? [])];
  }

  /** Live sessions of all peers. */
  get size(): number {
    return this.#owners.size;
  }

  #admitInstance(entry: PeerEntry, request: AdmissionRequest): RegistryAdmission {
    const { peer, instance, sessionId, epoch } = request;
    if (entry.displaced.includes(instance)) {
      return stale(`this instance of ${peer} was replaced by a newer one`);
    }
    const displaced = [...entry.sessions.keys()];
    for (const id of displaced) this.#owners.delete(id);
    entry.sessions.clear();
    entry.displaced = [...entry.displaced, entry.instance].slice(-DISPLACED_MAX);
    entry.instance = instance;
    entry.sessions.set(sessionId, epoch);
    this.#owners.set(sessionId, peer);
    return { ok: true, displaced };
  }
}

function stale(reason: string): RegistryAdmission {
  return { ok: false, code: 'stale-epoch', reason };
}
