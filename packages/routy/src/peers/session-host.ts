import type {
  DriverHandlers,
  IncomingStream,
  LaneEnd,
  SessionCommons,
  SessionDriverApi,
  SessionEnd,
} from '@routy/link/driver';
import { endText, ProcessSessions, type SessionFactory } from '@routy/link/peers';
import type { Lane } from '@routy/link/transport';
import { type Identity, nodeName } from '@routy/proto/base';
import { laneHint } from '../events/lane-hint.ts';
import type { NodeEvents } from '../events/node-events.ts';
import type { LiveSession, LiveSessions } from '../sessions/live-sessions.ts';

/** How often a session that is to be begun anew is looked at, in ms. */
const RENEW_LOOK_MS = 200;

/** What the two sides of a session do differently. */
export interface SessionOwner {
  /** Once, with the first lane. */
  onUp(session: LiveSession): void;
  /** A lane carries the session, the first one too. */
  onLaneUp(laneId: number): void;
  onLaneClosed(end: LaneEnd): void;
  onSuspended(): void;
  /** Last. `session` is undefined when it never was up. */
  onDown(end: SessionEnd, session: LiveSession | undefined): void;
}

/** What this node offers, by whom of its peers it may be opened. */
export interface OfferedServices {
  /** Names of the services that the peer may open, sorted. */
  offersFor(peer: Identity): string[];
  onStream(stream: IncomingStream, peer: Identity): void;
  /** Judges the open streams of a peer that is back once more; says how many that reset. */
  recheck(peer: Identity): number;
}

/** Starts sessions and ties them to what this node offers and reaches. */
export class SessionHost {
  readonly sessions: ProcessSessions;
  readonly live: LiveSessions;
  readonly services: OfferedServices;
  readonly events: NodeEvents;
  readonly nowMs: () => number;
  #draining = false;

  constructor(parts: {
    commons: SessionCommons;
    live: LiveSessions;
    services: OfferedServices;
    events: NodeEvents;
    nowMs: () => number;
    factory: SessionFactory;
  }) {
    this.sessions = new ProcessSessions(parts.commons, parts.factory);
    this.live = parts.live;
    this.services = parts.services;
    this.events = parts.events;
    this.nowMs = parts.nowMs;
  }

  /** Begins a session with the peer of a lane that this node has dialled. */
  dialled(
    lane: Pick<Lane, 'peer'>,
    id: { readonly sessionId: string; readonly replaces: string | undefined },
    owner: SessionOwner,
  ): SessionDriverApi {
    const handlers = new HostedSession(this, lane.peer, 'dialled', owner);
    handlers.driver = this.sessions.dialled(lane, id, handlers);
    return handlers.driver;
  }

  /** Begins a session that the peer of a lane asks for; the peer has named it. */
  accepted(lane: Pick<Lane, 'peer'>, sessionId: string, owner: SessionOwner): SessionDriverApi {
    const handlers = new HostedSession(this, lane.peer, 'accepted', owner);
    handlers.driver = this.sessions.accepted(lane, sessionId, handlers);
    return handlers.driver;
  }

  /** Tells a peer what it may open here and, when this node drains, to open nothing. */
  greet(session: LiveSession): void {
    this.#offer(session);
    if (this.#draining) session.driver.drain();
  }

  /** Tells the peers that these entries of `allow` name anew what they may open here. */
  offerAnew(entries: ReadonlySet<string>): void {
    for (const session of this.live.all()) {
      if (entries.has(session.peer.site) || entries.has(session.name)) this.#offer(session);
    }
  }

  /** Says once for each session that a list has no room for all. */
  #offer(session: LiveSession): void {
    const before = session.offersLeftOut;
    const services = this.services.offersFor(session.peer);
    session.offersLeftOut = session.driver.offer(services);
    if (before > 0 || session.offersLeftOut === 0) return;
    this.events.offersCut(session.name, services.length, session.offersLeftOut);
  }

  /** Tells every peer, and those to come, to open nothing new. */
  drain(): void {
    this.#draining = true;
    for (const { driver } of this.live.all()) driver.drain();
  }

  /**
   * Takes new streams again. A peer that was told to open nothing in a session opens nothing in it
   * any more, so such sessions are ended to be begun anew: at once when they carry nothing, else when
   * they carry nothing any more. Says how many wait for that.
   */
  undrain(): number {
    this.#draining = false;
    const told = new Set(this.live.all());
    const renew = (): void => {
      // Another drain came meanwhile.
      if (this.#draining) told.clear();
      for (const session of told) {
        if (session.driver.stats().streams > 0) continue;
        told.delete(session);
        session.driver.close('normal', 'the node takes streams again');
      }
      if (told.size === 0) clearInterval(timer);
    };
    const timer = setInterval(renew, RENEW_LOOK_MS);
    timer.unref();
    renew();
    return told.size;
  }

  get draining(): boolean {
    return this.#draining;
  }

  /** Streams open in all sessions. */
  get streams(): number {
    return this.live.all().reduce((sum, { driver }) => sum + driver.stats().streams, 0);
  }
}

/** One session's handlers. */
class HostedSession implements DriverHandlers {
  driver: SessionDriverApi | undefined;
  readonly #host: SessionHost;
  readonly #peer: Identity;
  readonly #direction: Lane['direction'];
  readonly #owner: SessionOwner;
  #session: LiveSession | undefined;
  /** Why the last lane that carried the session was lost. */
  #loss: LaneEnd | undefined;

  constructor(
    host: SessionHost,
    peer: Identity,
    direction: Lane['direction'],
    owner: SessionOwner,
  ) {
    this.#host = host;
    this.#peer = peer;
    this.#direction = direction;
    this.#owner = owner;
  }

  onEstablished({ remoteAddress, security }: Lane): void {
    const nowMs = this.#host.nowMs();
    const session: LiveSession = {
      driver: this.driver!,
      peer: this.#peer,
      name: nodeName(this.#peer),
      establishedAtMs: nowMs,
      remoteAddress,
      security,
      sinceMs: nowMs,
      offersLeftOut: 0,
      trouble: undefined,
    };
    this.#session = session;
    this.#host.live.add(session);
    this.#host.greet(session);
    this.#host.events.sessionUp(session, this.#direction);
    this.#owner.onUp(session);
  }

  onLaneUp(laneId: number, lane: Lane): void {
    const session = this.#session!;
    session.remoteAddress = lane.remoteAddress;
    session.security = lane.security;
    this.#host.events.laneUp(session, laneId, lane);
    this.#owner.onLaneUp(laneId);
  }

  onLaneClosed(end: LaneEnd): void {
    if (end.wasUp) {
      this.#loss = end;
      this.#host.events.laneDown(this.#session!, end);
    }
    this.#owner.onLaneClosed(end);
  }

  onSuspended(): void {
    const session = this.#session!;
    session.sinceMs = this.#host.nowMs();
    const loss = this.#loss!;
    const reason = `the last lane was lost: ${endText(loss)}`;
    session.trouble = { reason, hint: laneHint(loss) };
    this.#host.events.sessionSuspended(session);
    this.#host.live.suspended(session);
    this.#owner.onSuspended();
  }

  onResumed(suspendedMs: number): void {
    const session = this.#session!;
    session.sinceMs = this.#host.nowMs();
    session.trouble = undefined;
    this.#host.live.resumed(session);
    const streamsReset = this.#host.services.recheck(this.#peer);
    this.#host.events.sessionResumed(session, suspendedMs, streamsReset);
  }

  onOffers(services: ReadonlySet<string>): void {
    if (this.#session !== undefined) this.#host.live.offered(this.#session, services);
  }

  onStream(stream: IncomingStream): void {
    this.#host.services.onStream(stream, this.#peer);
  }

  onMismatch(stream: number, reason: string): void {
    this.#host.events.streamMismatch(nodeName(this.#peer), stream, reason);
  }

  onOverload(streams: number, reason: string): void {
    this.#host.events.streamsRefused(nodeName(this.#peer), streams, reason);
  }

  onDraining(): void {
    if (this.#session !== undefined) this.#host.live.draining(this.#session);
  }

  onClosed(end: SessionEnd): void {
    const session = this.#session;
    if (this.#direction === 'dialled') this.#host.sessions.closed(this.driver!);
    if (session !== undefined) {
      this.#host.live.remove(session);
      this.#host.events.sessionDown(session, end, this.#host.nowMs() - session.establishedAtMs);
    }
    this.#owner.onDown(end, session);
  }
}
