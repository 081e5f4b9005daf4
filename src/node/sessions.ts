import type { Identity } from '../base/identity.ts';
import { Directory, type ReachabilityChange } from '../fabric/directory.ts';
import type { LaneFacts, SessionDriverApi } from './driver-types.ts';
import type { LaneStatus, SessionStatus } from './status.ts';

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
  /** Why no lane carries it; undefined while one does. */
  trouble: { readonly reason: string; readonly hint: string | undefined } | undefined;
}

export function nodeName(identity: Pick<Identity, 'site' | 'node'>): string {
  return `${identity.site}/${identity.node}`;
}

/** The live sessions and what their peers offer to this node. */
export class LiveSessions {
  readonly #byId = new Map<string, LiveSession>();
  readonly #directory = new Directory();
  readonly #onChange: (changes: readonly ReachabilityChange[]) => void;

  /** `onChange` is called when services became reachable or ceased to be, with those alone. */
  constructor(onChange: (changes: readonly ReachabilityChange[]) => void) {
    this.#onChange = onChange;
  }

  /** Nothing happens when another one has its id: what that one has is never taken from it. */
  add(session: LiveSession): void {
    const { sessionId } = session.driver;
    if (this.#byId.has(sessionId)) return;
    this.#byId.set(sessionId, session);
    const { site, node } = session.peer;
    this.#directory.addSession({ sessionId, site, node });
  }

  /** Nothing happens when it has gone already. */
  remove(session: LiveSession): void {
    if (!this.#isCurrent(session)) return;
    this.#byId.delete(session.driver.sessionId);
    this.#tell(this.#directory.removeSession(session.driver.sessionId));
  }

  /** The peer's complete list, replacing the one before. */
  offered(session: LiveSession, services: readonly string[]): void {
    if (!this.#isCurrent(session)) return;
    this.#tell(this.#directory.offer(session.driver.sessionId, services));
  }

  /** The peer takes no new streams; the open ones go on. */
  draining(session: LiveSession): void {
    if (!this.#isCurrent(session)) return;
    this.#tell(this.#directory.removeSession(session.driver.sessionId));
  }

  /**
   * Sessions that can carry a stream to the service, the longest established first; those that wait
   * for a lane themselves come last.
   */
  candidates(site: string, service: string): LiveSession[] {
    const sessions = this.#directory
      .sessionsFor(site, service)
      .map((candidate) => this.#byId.get(candidate.sessionId))
      .filter((session) => session !== undefined);
    const suspended = sessions.filter(({ driver }) => driver.suspended);
    if (suspended.length === 0) return sessions;
    return [...sessions.filter(({ driver }) => !driver.suspended), ...suspended];
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

  /** Sessions to `site` or `site/node`. */
  to(target: string): LiveSession[] {
    return this.all().filter(({ peer, name }) => peer.site === target || name === target);
  }

  status(session: LiveSession): SessionStatus {
    const { driver } = session;
    const stats = driver.stats();
    return {
      id: driver.sessionId,
      state: driver.suspended ? 'suspended' : 'up',
      epoch: driver.epoch,
      remoteAddress: session.remoteAddress,
      security: session.security,
      rttMs: stats.rttMs ?? null,
      clockOffsetMs: stats.clockOffsetMs ?? null,
      lanes: driver.lanes().map(laneStatus),
      streams: stats.streams,
      bytesSent: stats.bytesSent,
      bytesReceived: stats.bytesReceived,
      bytesReplayed: stats.bytesReplayed,
      bufferedBytes: stats.bufferedBytes,
      usedBytes: stats.usedBytes,
      shareBytes: stats.shareBytes,
      streamsRefused: stats.streamsRefused,
      ...driver.memory(),
      offers: this.#directory.offersOf(driver.sessionId),
    };
  }

  #tell(changes: readonly ReachabilityChange[]): void {
    if (changes.length > 0) this.#onChange(changes);
  }

  #isCurrent(session: LiveSession): boolean {
    return this.#byId.get(session.driver.sessionId) === session;
  }
}

function laneStatus({ epoch, lane, rttMs, streams, bytesSent }: LaneFacts): LaneStatus {
  const { remoteAddress, localAddress } = lane;
  return { epoch, remoteAddress, localAddress, rttMs: rttMs ?? null, streams, bytesSent };
}
