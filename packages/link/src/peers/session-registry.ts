/** A session that asks to be admitted, as the peer's HELLO says. */
export interface AdmissionRequest {
  /** `site/node`, from the certificate. */
  readonly peer: string;
  /** Random per process start of the peer. */
  readonly instance: string;
  readonly sessionId: string;
  /** An earlier session of this peer and instance that it has given up. */
  readonly replaces?: string | undefined;
}

/**
 * `existing`: this instance of the peer holds the session already, and the lane joins it.
 * `displaced`: sessions that the caller must end now, never the admitted one; they count as removed.
 */
export type RegistryAdmission =
  | { readonly ok: true; readonly existing: boolean; readonly displaced: readonly string[] }
  | {
      readonly ok: false;
      readonly code: 'stale-epoch' | 'not-authorized';
      readonly reason: string;
    };

/** Live sessions of one peer. An honest one has one for each way it dials, and those it has lost. */
export const PEER_SESSIONS_MAX = 16;

/** Live sessions of all peers. */
export const SESSIONS_MAX = 4096;

interface PeerEntry {
  instance: string;
  /** Live sessions of that instance, oldest first. */
  readonly sessions: Set<string>;
  /** Instances that lost to a newer one, oldest first, at most DISPLACED_MAX. */
  displaced: string[];
}

/** Displaced instances remembered for each peer. More restarts than this while one lives is absurd. */
const DISPLACED_MAX = 16;

/**
 * Decides which sessions of a peer live. A session belongs to the peer that began it; a restarted
 * peer (another instance) wins over everything its former process left behind; a peer may replace a
 * session of its own. A peer never is refused for its many sessions, since answers that were lost
 * make a dialler begin one after another: above the limit the oldest that no lane carries gives way,
 * or the oldest if lanes carry all of them. Which lanes a session takes is the session's to judge. Holds
 * entries only for peers that have a live session. Pure: it stands among those who ask it, and test/arch
 * holds it to that.
 */
export class SessionRegistry {
  readonly #peers = new Map<string, PeerEntry>();
  /** Session id to the peer that holds it. */
  readonly #owners = new Map<string, string>();
  readonly #isSuspended: (sessionId: string) => boolean;

  /** `isSuspended`: whether no lane carries a live session. */
  constructor(isSuspended: (sessionId: string) => boolean) {
    this.#isSuspended = isSuspended;
  }

  /** Admits or refuses; an admitted session counts as live until {@link remove}. */
  admit(request: AdmissionRequest): RegistryAdmission {
    const { peer, instance, sessionId } = request;
    const entry = this.#peers.get(peer);
    const refusal = this.#refusal(request, entry);
    if (refusal !== undefined) return refusal;
    const existing = entry?.sessions.has(sessionId) ?? false;
    const displaced = entry === undefined ? [] : this.#displace(entry, request);
    if (!existing) displaced.push(...this.#makeRoom(peer));
    const admitted = this.#peers.get(peer) ?? { instance, sessions: new Set(), displaced: [] };
    this.#peers.set(peer, admitted);
    admitted.sessions.add(sessionId);
    this.#owners.set(sessionId, peer);
    return { ok: true, existing, displaced };
  }

  /** The session has ended; nothing happens when it was displaced before. */
  remove(sessionId: string): void {
    const peer = this.#owners.get(sessionId);
    const entry = peer === undefined ? undefined : this.#peers.get(peer);
    if (peer === undefined || entry === undefined) return;
    entry.sessions.delete(sessionId);
    this.#owners.delete(sessionId);
    // Without a live session there is nothing an older instance could take away any more.
    if (entry.sessions.size === 0) this.#peers.delete(peer);
  }

  /** Whether the session lives, whoever holds it. */
  knows(sessionId: string): boolean {
    return this.#owners.has(sessionId);
  }

  /** Ids of the peer's live sessions, oldest first. */
  sessionsOf(peer: string): string[] {
    return [...(this.#peers.get(peer)?.sessions ?? [])];
  }

  /** Live sessions of all peers. */
  get size(): number {
    return this.#owners.size;
  }

  /** A refusal changes nothing. */
  #refusal(
    { peer, instance, sessionId }: AdmissionRequest,
    entry: PeerEntry | undefined,
  ): RegistryAdmission | undefined {
    const owner = this.#owners.get(sessionId);
    // Without the owner's name: it is none of the other's business.
    if (owner !== undefined && owner !== peer) {
      return refused('not-authorized', `session ${sessionId} belongs to another node`);
    }
    if (entry === undefined || entry.instance === instance) return undefined;
    if (entry.displaced.includes(instance)) {
      return refused('stale-epoch', `this instance of ${peer} was replaced by a newer one`);
    }
    // Ids are random, so no honest process comes upon one of its predecessor.
    if (owner === undefined) return undefined;
    return refused('not-authorized', `session ${sessionId} belongs to another instance of ${peer}`);
  }

  /** Gives up the session that can be missed most, when there are as many as there may be. */
  #makeRoom(peer: string): string[] {
    const own = this.#peers.get(peer)?.sessions ?? new Set<string>();
    const crowd = own.size >= PEER_SESSIONS_MAX ? own : this.#crowd();
    if (crowd === undefined) return [];
    const ids = [...crowd];
    const id = ids.find((each) => this.#isSuspended(each)) ?? ids[0]!;
    this.remove(id);
    return [id];
  }

  /** The sessions of the peer that has most, when there are too many in all. */
  #crowd(): Set<string> | undefined {
    if (this.size < SESSIONS_MAX) return undefined;
    let most: Set<string> | undefined;
    for (const { sessions } of this.#peers.values()) {
      if (most === undefined || sessions.size > most.size) most = sessions;
    }
    return most;
  }

  #displace(entry: PeerEntry, { instance, sessionId, replaces }: AdmissionRequest): string[] {
    let displaced = [...entry.sessions];
    if (entry.instance === instance) {
      displaced = displaced.filter((id) => id === replaces && id !== sessionId);
    } else {
      entry.displaced = [...entry.displaced, entry.instance].slice(-DISPLACED_MAX);
      entry.instance = instance;
    }
    for (const id of displaced) {
      entry.sessions.delete(id);
      this.#owners.delete(id);
    }
    return displaced;
  }
}

function refused(code: 'stale-epoch' | 'not-authorized', reason: string): RegistryAdmission {
  return { ok: false, code, reason };
}
