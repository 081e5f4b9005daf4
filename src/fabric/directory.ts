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
  /** Counts up with every session added; this order is the order of candidates. */
  readonly ordinal: number;
  services: ReadonlySet<string>;
}

/**
 * Who offers what to this node: for every session the services its peer said it may open. Every
 * change returns which services became reachable or ceased to be, so forwards know when to listen.
 * What a change costs goes with the services that it is about, and a question with its answer;
 * neither goes with the number of sessions or with what others offer.
 */
export class Directory {
  readonly #sessions = new Map<string, SessionOffer>();
  /** `site/service` to the sessions that offer it. Holds no empty sets. */
  readonly #offering = new Map<string, Set<SessionOffer>>();
  /** Sessions established to each site, whatever they offer. Holds no zeros. */
  readonly #sites = new Map<string, number>();
  #added = 0;

  /** Adds an established session; it offers nothing until {@link offer}. */
  addSession(session: { sessionId: string; site: string; node: string }): ReachabilityChange[] {
    const changes = this.removeSession(session.sessionId);
    this.#added += 1;
    this.#sites.set(session.site, (this.#sites.get(session.site) ?? 0) + 1);
    this.#sessions.set(session.sessionId, {
      ordinal: this.#added,
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
      if (!before.has(service)) this.#begins(session, service, changes);
    }
    for (const service of before) {
      if (!session.services.has(service)) this.#ceases(session, service, changes);
    }
    return changes;
  }

  /** The session ended or drains: it carries nothing new. */
  removeSession(sessionId: string): ReachabilityChange[] {
    const session = this.#sessions.get(sessionId);
    if (session === undefined) return [];
    const changes = this.offer(sessionId, []);
    this.#sessions.delete(sessionId);
    const left = this.#sites.get(session.site)! - 1;
    if (left === 0) this.#sites.delete(session.site);
    else this.#sites.set(session.site, left);
    return changes;
  }

  /** Sessions that can carry a stream to the service, the longest established first. */
  sessionsFor(site: string, service: string): Candidate[] {
    const found = [...(this.#offering.get(key(site, service)) ?? [])];
    return found.sort((a, b) => a.ordinal - b.ordinal).map(({ candidate }) => candidate);
  }

  /** True when {@link sessionsFor} would find one. */
  isReachable(site: string, service: string): boolean {
    return this.#offering.has(key(site, service));
  }

  /** True when any session to the site is established, whatever it offers: to tell why not. */
  hasSite(site: string): boolean {
    return this.#sites.has(site);
  }

  /** Services the session's peer offers, sorted. */
  offersOf(sessionId: string): string[] {
    return [...(this.#sessions.get(sessionId)?.services ?? [])].sort();
  }

  #begins(session: SessionOffer, service: string, changes: ReachabilityChange[]): void {
    const { site } = session;
    const offering = this.#offering.get(key(site, service));
    if (offering !== undefined) {
      offering.add(session);
      return;
    }
    this.#offering.set(key(site, service), new Set([session]));
    changes.push({ site, service, reachable: true });
  }

  #ceases(session: SessionOffer, service: string, changes: ReachabilityChange[]): void {
    const { site } = session;
    const offering = this.#offering.get(key(site, service))!;
    offering.delete(session);
    if (offering.size > 0) return;
    this.#offering.delete(key(site, service));
    changes.push({ site, service, reachable: false });
  }
}

function key(site: string, service: string): string {
  return `${site}/${service}`;
}
