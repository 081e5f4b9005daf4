/** One session that can carry streams to a service. */
export interface Candidate {
  readonly sessionId: string;
  /** `site/node`. */
  readonly peer: string;
}

/** A service of a site whose reachability changed: from no candidate to some, or back. */
export interface ReachabilityChange {
  readonly site: string;
  readonly service: string;
  readonly reachable: boolean;
}

interface SessionOffer {
  readonly site: string;
  readonly candidate: Candidate;
  services: ReadonlySet<string>;
}

/**
 * Who offers what to this node: for every session the services its peer said it may open. Every
 * change returns which services became reachable or ceased to be, so forwards know when to listen.
 */
export class Directory {
  /** In the order the sessions were added; this order is the order of candidates. */
  readonly #sessions = new Map<string, SessionOffer>();
  /** `site/service` to the number of sessions that offer it. Holds no zeros. */
  readonly #counts = new Map<string, number>();

  /** Adds an established session; it offers nothing until {@link offer}. */
  addSession(session: { sessionId: string; site: string; node: string }): ReachabilityChange[] {
    const changes = this.removeSession(session.sessionId);
    this.#sessions.set(session.sessionId, {
      site: session.site,
      candidate: { sessionId: session.sessionId, peer: `${session.site}/${session.node}` },
      services: new Set(),
    });
    return changes;
  }

  /** The peer's complete list; replaces the one before. Unknown sessions are ignored. */
  offer(sessionId: string, services: readonly string[]): ReachabilityChange[] {
    const session = this.#sessions.get(sessionId);
    if (session === undefined) return [];
    const before = session.services;
    session.services = new Set(services);
    const changes: ReachabilityChange[] = [];
    for (const service of session.services) {
      if (!before.has(service)) this.#count(session.site, service, 1, changes);
    }
    for (const service of before) {
      if (!session.services.has(service)) this.#count(session.site, service, -1, changes);
    }
    return changes;
  }

  /** The session ended or drains: it carries nothing new. */
  removeSession(sessionId: string): ReachabilityChange[] {
    const changes = this.offer(sessionId, []);
    this.#sessions.delete(sessionId);
    return changes;
  }

  /** Sessions that can carry a stream to the service, the longest established first. */
  sessionsFor(site: string, service: string): Candidate[] {
    const found: Candidate[] = [];
    for (const session of this.#sessions.values()) {
      if (session.site === site && session.services.has(service)) found.push(session.candidate);
    }
    return found;
  }

  /** True when {@link sessionsFor} would find one. */
  isReachable(site: string, service: string): boolean {
    return this.#counts.has(key(site, service));
  }

  /** True when any session to the site is established, whatever it offers: to tell why not. */
  hasSite(site: string): boolean {
    for (const session of this.#sessions.values()) if (session.site === site) return true;
    return false;
  }

  /** Services the session's peer offers, sorted. */
  offersOf(sessionId: string): string[] {
    return [...(this.#sessions.get(sessionId)?.services ?? [])].sort();
  }

  #count(site: string, service: string, step: 1 | -1, changes: ReachabilityChange[]): void {
    const count = (this.#counts.get(key(site, service)) ?? 0) + step;
    if (count === 0) this.#counts.delete(key(site, service));
    else this.#counts.set(key(site, service), count);
    if (count === 0) changes.push({ site, service, reachable: false });
    if (count === 1 && step === 1) changes.push({ site, service, reachable: true });
  }
}

function key(site: string, service: string): string {
  return `${site}/${service}`;
}
