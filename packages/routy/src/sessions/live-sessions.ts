import type { LiveLane, SessionDriverApi } from '@routy/link/driver';
import type { Identity } from '@routy/proto/base';
import { Directory, type ReachabilityChange } from '../fabric/directory.ts';
import type { LaneStatus, SessionStatus, TrafficStatus } from '../status/status.ts';
import { PeerTotals } from './peer-totals.ts';

/** A peer may offer very many services, which would make the status long and slow. */
const OFFERS_SHOWN_MAX = 1_000;

/** A session with an agreed HELLO, dialled or accepted. */
export interface LiveSession {
  readonly driver: SessionDriverApi;
  readonly peer: Identity;
  /** `site/node`. */
  readonly name: string;
  /** By the node's clock. */
  readonly establishedAtMs: number;
  /** Of the lane that came last. */
  remoteAddress: string;
  security: string;
  /** Since when it is up, or suspended; by the node's clock. */
  sinceMs: number;
  /** Services it may open and is not told of, as they are more than a list has room for. */
  offersLeftOut: number;
  /** Why no lane carries it; undefined while one does. */
  trouble: { readonly reason: string; readonly hint: string | undefined } | undefined;
}

/** The live sessions and what their peers offer to this node. */
export class LiveSessions {
  readonly #byId = new Map<string, LiveSession>();
  readonly #directory = new Directory();
  /** Those that wait for a lane. */
  readonly #suspended = new Set<LiveSession>();
  readonly #onChange: (changes: readonly ReachabilityChange[]) => void;
  readonly #totals: PeerTotals;

  /** `onChange` is called when watched services became reachable or ceased to be, with those alone. */
  constructor(
    onChange: (changes: readonly ReachabilityChange[]) => void,
    totals = new PeerTotals(),
  ) {
    this.#onChange = onChange;
    this.#totals = totals;
  }

  /** Changes of the service are told from now on. */
  watch(site: string, service: string): void {
    this.#directory.watch(site, service);
  }

  unwatch(site: string, service: string): void {
    this.#directory.unwatch(site, service);
  }

  /** Nothing happens when another one has its id: what that one has is never taken from it. */
  add(session: LiveSession): void {
    const { sessionId } = session.driver;
    if (this.#byId.has(sessionId)) return;
    this.#byId.set(sessionId, session);
    this.#totals.came(session.name);
    const { site, node } = session.peer;
    this.#directory.addSession({ sessionId, site, node });
  }

  /** Nothing happens when it has gone already. */
  remove(session: LiveSession): void {
    if (!this.#isCurrent(session)) return;
    const { name, driver } = session;
    this.#totals.went(name, driver.stats());
    this.#byId.delete(driver.sessionId);
    this.#suspended.delete(session);
    this.#tell(this.#directory.removeSession(driver.sessionId));
  }

  /** The peer's complete list, replacing the one before. */
  offered(session: LiveSession, services: ReadonlySet<string>): void {
    if (!this.#isCurrent(session)) return;
    this.#tell(this.#directory.offer(session.driver.sessionId, services));
    this.#moveOpens(session.peer.site);
  }

  /** It has lost its last lane: what nobody has answered goes to other nodes of the site, if any. */
  suspended(session: LiveSession): void {
    if (!this.#isCurrent(session)) return;
    this.#suspended.add(session);
    this.#moveOpens(session.peer.site);
  }

  /** It has a lane again, and may serve what waits for others. */
  resumed(session: LiveSession): void {
    if (!this.#suspended.delete(session)) return;
    this.#moveOpens(session.peer.site);
  }

  /** The peer takes no new streams; the open ones go on. */
  draining(session: LiveSession): void {
    if (!this.#isCurrent(session)) return;
    this.#tell(this.#directory.removeSession(session.driver.sessionId));
  }

  /**
   * Sessions that can carry a stream to the service, the longest established first; behind them
   * those whose peer is silent, and last those that wait for a lane themselves.
   */
  candidates(site: string, service: string): LiveSession[] {
    const sessions = this.#directory
      .sessionsFor(site, service)
      .map((candidate) => this.#byId.get(candidate.sessionId))
      .filter((session) => session !== undefined);
    if (sessions.length < 2) return sessions;
    const rank = new Map(sessions.map((session) => [session, reluctance(session)]));
    return sessions.sort((a, b) => rank.get(a)! - rank.get(b)!);
  }

  /** Opens that wait at suspended sessions, to services that a session with a lane offers too. */
  #moveOpens(site: string): void {
    for (const { driver, peer } of [...this.#suspended]) {
      if (peer.site !== site) continue;
      driver.withdraw((service) => {
        const [best] = this.candidates(site, service);
        return best !== undefined && !best.driver.suspended;
      });
    }
  }

  /** True when {@link candidates} would find one. */
  isReachable(site: string, service: string): boolean {
    return this.#directory.isReachable(site, service);
  }

  /** Why a service has no candidate, for people. */
  whyUnreachable(site: string, service: string): string {
    return this.#directory.hasSite(site)
      ? `site ${site} offers no ${service} to this node`
      : `no session to site ${site}`;
  }

  all(): LiveSession[] {
    return [...this.#byId.values()];
  }

  /** A session with a lane to another node of the same site. */
  otherNode({ name, peer }: LiveSession): LiveSession | undefined {
    return this.all().find(
      (each) => each.peer.site === peer.site && each.name !== name && !each.driver.suspended,
    );
  }

  /** Sessions to `site` or `site/node`. */
  to(target: string): LiveSession[] {
    return this.all().filter(({ peer, name }) => peer.site === target || name === target);
  }

  status(session: LiveSession): SessionStatus {
    const { driver } = session;
    const stats = driver.stats();
    const offers = this.#directory.offersOf(driver.sessionId);
    const lanes = driver.lanes().map(laneStatus);
    return {
      id: driver.sessionId,
      state: driver.suspended ? 'suspended' : 'up',
      epoch: driver.lastLaneId,
      remoteAddress: session.remoteAddress,
      security: session.security,
      rttMs: stats.rttMs ?? null,
      clockOffsetMs: stats.clockOffsetMs ?? null,
      lastHeardMsAgo:
        lanes.length === 0 ? null : Math.min(...lanes.map((lane) => lane.lastHeardMsAgo)),
      silent: lanes.length > 0 && lanes.every((lane) => lane.silent),
      lanes,
      streams: stats.streams,
      bytesSent: stats.bytesSent,
      bytesReceived: stats.bytesReceived,
      bytesReplayed: stats.bytesReplayed,
      bufferedBytes: stats.bufferedBytes,
      usedBytes: stats.usedBytes,
      shareBytes: stats.shareBytes,
      streamsRefused: stats.streamsRefused,
      ...driver.memory(),
      offers: firstOf(offers, OFFERS_SHOWN_MAX),
      offersCount: offers.size,
      offersLeftOut: session.offersLeftOut,
    };
  }

  #tell(changes: readonly ReachabilityChange[]): void {
    if (changes.length > 0) this.#onChange(changes);
  }

  /** What was exchanged with each peer since this node started: it only grows, until it is forgotten. */
  traffic(): TrafficStatus[] {
    return this.#totals.with(
      this.all().map(({ name, driver }) => ({ peer: name, carried: driver.stats() })),
    );
  }

  #isCurrent(session: LiveSession): boolean {
    return this.#byId.get(session.driver.sessionId) === session;
  }
}

function firstOf(names: Iterable<string>, countMax: number): string[] {
  const first: string[] = [];
  for (const name of names) {
    if (first.length === countMax) break;
    first.push(name);
  }
  return first;
}

function reluctance({ driver }: LiveSession): number {
  if (driver.suspended) return 2;
  return driver.silent ? 1 : 0;
}

function laneStatus({ laneId, lane, rttMs, unheardMs, ...facts }: LiveLane): LaneStatus {
  const { remoteAddress, localAddress } = lane;
  const lastHeardMsAgo = Math.round(unheardMs);
  return {
    epoch: laneId,
    ...facts,
    remoteAddress,
    localAddress,
    rttMs: rttMs ?? null,
    lastHeardMsAgo,
  };
}
