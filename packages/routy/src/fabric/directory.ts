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

/** What is known of a site; there while it has a session or a service that is watched. */
interface Site {
  readonly sessions: Set<SessionOffer>;
  /** Watched services to the sessions that offer them. */
  readonly watched: Map<string, Set<SessionOffer>>;
}

const NOTHING: ReadonlySet<string> = new Set();

/**
 * Who offers what to this node: for every session the services its peer said it may open. Peers may
 * offer very many names, and this node leads to few of them: those it watches. Of these every change
 * returns which became reachable or ceased to be, so forwards know when to listen. What a change
 * costs goes with the list or with the watched services of the site, whichever are fewer; a question
 * about a watched service costs what its answer does. Neither goes with the number of sessions.
 */
export class Directory {
  readonly #sessions = new Map<string, SessionOffer>();
  readonly #sites = new Map<string, Site>();
  #added = 0;

  /** Changes of this service are told from now on. */
  watch(site: string, service: string): void {
    const known = this.#site(site);
    if (known.watched.has(service)) return;
    known.watched.set(service, new Set(offering(known, service)));
  }

  unwatch(site: string, service: string): void {
    this.#sites.get(site)?.watched.delete(service);
    this.#tidy(site);
  }

  /** Adds an established session; it offers nothing until {@link offer}. */
  addSession(session: { sessionId: string; site: string; node: string }): ReachabilityChange[] {
    const changes = this.removeSession(session.sessionId);
    this.#added += 1;
    const offer: SessionOffer = {
      ordinal: this.#added,
      site: session.site,
      candidate: { sessionId: session.sessionId, peer: `${session.site}/${session.node}` },
      services: NOTHING,
    };
    this.#sessions.set(session.sessionId, offer);
    this.#site(session.site).sessions.add(offer);
    return changes;
  }

  /** The peer's complete list; replaces the one before. Unknown sessions are ignored. */
  offer(sessionId: string, services: ReadonlySet<string>): ReachabilityChange[] {
    const session = this.#sessions.get(sessionId);
    if (session === undefined) return [];
    const { site, services: before } = session;
    session.services = services;
    const { watched } = this.#sites.get(site)!;
    const changes: ReachabilityChange[] = [];
    for (const service of common(services, watched)) {
      const there = watched.get(service)!;
      if (there.size === 0) changes.push({ site, service, reachable: true });
      there.add(session);
    }
    for (const service of common(before, watched)) {
      if (services.has(service)) continue;
      const there = watched.get(service)!;
      there.delete(session);
      if (there.size === 0) changes.push({ site, service, reachable: false });
    }
    return changes;
  }

  /** The session ended or drains: it carries nothing new. */
  removeSession(sessionId: string): ReachabilityChange[] {
    const session = this.#sessions.get(sessionId);
    if (session === undefined) return [];
    const changes = this.offer(sessionId, NOTHING);
    this.#sessions.delete(sessionId);
    this.#sites.get(session.site)!.sessions.delete(session);
    this.#tidy(session.site);
    return changes;
  }

  /** Sessions that can carry a stream to the service, the longest established first. */
  sessionsFor(site: string, service: string): Candidate[] {
    const known = this.#sites.get(site);
    if (known === undefined) return [];
    const found = [...(known.watched.get(service) ?? offering(known, service))];
    return found.sort((a, b) => a.ordinal - b.ordinal).map(({ candidate }) => candidate);
  }

  /** True when {@link sessionsFor} would find one. */
  isReachable(site: string, service: string): boolean {
    const known = this.#sites.get(site);
    if (known === undefined) return false;
    const there = known.watched.get(service);
    return there === undefined ? offering(known, service).length > 0 : there.size > 0;
  }

  /** True when any session to the site is established, whatever it offers: to tell why not. */
  hasSite(site: string): boolean {
    return (this.#sites.get(site)?.sessions.size ?? 0) > 0;
  }

  /** Services the session's peer offers, in its order. */
  offersOf(sessionId: string): ReadonlySet<string> {
    return this.#sessions.get(sessionId)?.services ?? NOTHING;
  }

  #site(name: string): Site {
    const known = this.#sites.get(name);
    if (known !== undefined) return known;
    const site: Site = { sessions: new Set(), watched: new Map() };
    this.#sites.set(name, site);
    return site;
  }

  #tidy(name: string): void {
    const site = this.#sites.get(name);
    if (site?.sessions.size === 0 && site.watched.size === 0) this.#sites.delete(name);
  }
}

function offering({ sessions }: Site, service: string): SessionOffer[] {
  return [...sessions].filter(({ services }) => services.has(service));
}

/** Names that are in both; what it costs goes with the smaller one. */
function common(services: ReadonlySet<string>, watched: ReadonlyMap<string, unknown>): string[] {
  return watched.size < services.size
    ? [...watched.keys()].filter((name) => services.has(name))
    : [...services].filter((name) => watched.has(name));
}
