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

/** A site's sessions. A peer may offer very many names, so what is kept for each is small. */
interface Site {
  sessions: number;
  /** Service to the session that offers it, or to those that do when they are several. */
  readonly offering: Map<string, SessionOffer | Set<SessionOffer>>;
}

/**
 * Who offers what to this node: for every session the services its peer said it may open. Every
 * change returns which services became reachable or ceased to be, so forwards know when to listen.
 * What a change costs goes with the services that it is about, and a question with its answer;
 * neither goes with the number of sessions or with what others offer.
 */
export class Directory {
  readonly #sessions = new Map<string, SessionOffer>();
  /** Sites to which any session is established. */
  readonly #sites = new Map<string, Site>();
  #added = 0;

  /** Adds an established session; it offers nothing until {@link offer}. */
  addSession(session: { sessionId: string; site: string; node: string }): ReachabilityChange[] {
    const changes = this.removeSession(session.sessionId);
    this.#added += 1;
    const site = this.#sites.get(session.site) ?? { sessions: 0, offering: new Map() };
    site.sessions += 1;
    this.#sites.set(session.site, site);
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
    const { offering } = this.#sites.get(session.site)!;
    for (const service of session.services) {
      if (!before.has(service)) begins(offering, session, service, changes);
    }
    for (const service of before) {
      if (!session.services.has(service)) ceases(offering, session, service, changes);
    }
    return changes;
  }

  /** The session ended or drains: it carries nothing new. */
  removeSession(sessionId: string): ReachabilityChange[] {
    const session = this.#sessions.get(sessionId);
    if (session === undefined) return [];
    const changes = this.offer(sessionId, []);
    this.#sessions.delete(sessionId);
    const site = this.#sites.get(session.site)!;
    site.sessions -= 1;
    if (site.sessions === 0) this.#sites.delete(session.site);
    return changes;
  }

  /** Sessions that can carry a stream to the service, the longest established first. */
  sessionsFor(site: string, service: string): Candidate[] {
    const found = this.#sites.get(site)?.offering.get(service);
    if (found === undefined) return [];
    if (!(found instanceof Set)) return [found.candidate];
    return [...found].sort((a, b) => a.ordinal - b.ordinal).map(({ candidate }) => candidate);
  }

  /** True when {@link sessionsFor} would find one. */
  isReachable(site: string, service: string): boolean {
    return this.#sites.get(site)?.offering.has(service) ?? false;
  }

  /** True when any session to the site is established, whatever it offers: to tell why not. */
  hasSite(site: string): boolean {
    return this.#sites.has(site);
  }

  /** Services the session's peer offers, sorted. */
  offersOf(sessionId: string): string[] {
    return [...(this.#sessions.get(sessionId)?.services ?? [])].sort();
  }
}

function begins(
  offering: Site['offering'],
  session: SessionOffer,
  service: string,
  changes: ReachabilityChange[],
): void {
  const others = offering.get(service);
  if (others === undefined) {
    offering.set(service, session);
    changes.push({ site: session.site, service, reachable: true });
  } else if (others instanceof Set) {
    others.add(session);
  } else {
    offering.set(service, new Set([others, session]));
  }
}

function ceases(
  offering: Site['offering'],
  session: SessionOffer,
  service: string,
  changes: ReachabilityChange[],
): void {
  const all = offering.get(service)!;
  if (all instanceof Set) {
    all.delete(session);
    if (all.size === 1) offering.set(service, [...all][0]!);
    return;
  }
  offering.delete(service);
  changes.push({ site: session.site, service, reachable: false });
}
