import type { Identity } from '../base/identity.ts';
import type { FabricSettings, LimitsConfig } from '../config/types.ts';
import type { BudgetPools } from '../session/options.ts';
import type { Lane } from '../transport/lane.ts';
import type {
  Admission,
  DriverHandlers,
  IncomingStream,
  PeerHello,
  SessionDriverApi,
  SessionEnd,
} from './driver-types.ts';
import type { NodeEvents } from './events.ts';
import type { Services } from './service.ts';
import type { DriverOptions } from './session-driver.ts';
import { type LiveSession, type LiveSessions, nodeName } from './sessions.ts';

/** Makes a session of a lane; `startSession` of the driver, or a fake in tests. */
export type SessionFactory = (
  lane: Lane,
  options: DriverOptions,
  handlers: DriverHandlers,
) => SessionDriverApi;

/** What every session of this node has in common. */
export interface SessionCommons {
  readonly self: Identity;
  /** 32 hex digits, random per process start. */
  readonly instance: string;
  readonly fabric: FabricSettings;
  readonly limits: LimitsConfig;
  readonly software: string;
  readonly pools: BudgetPools;
}

/** What the two sides of a session do differently. */
export interface SessionOwner {
  /** Accepting side only. */
  admit(hello: PeerHello): Admission;
  onUp(session: LiveSession): void;
  /** Last. `session` is undefined when it never was up. */
  onDown(end: SessionEnd, session: LiveSession | undefined): void;
}

/** Starts sessions on lanes and ties them to what this node offers and reaches. */
export class SessionHost {
  readonly commons: SessionCommons;
  readonly live: LiveSessions;
  readonly services: Services;
  readonly events: NodeEvents;
  readonly nowMs: () => number;
  readonly #factory: SessionFactory;
  readonly #lanes = new Set<Lane>();
  #draining = false;

  constructor(parts: {
    commons: SessionCommons;
    live: LiveSessions;
    services: Services;
    events: NodeEvents;
    nowMs: () => number;
    factory: SessionFactory;
  }) {
    this.commons = parts.commons;
    this.live = parts.live;
    this.services = parts.services;
    this.events = parts.events;
    this.nowMs = parts.nowMs;
    this.#factory = parts.factory;
  }

  /** Starts the session of a dialled lane. */
  dialled(
    lane: Lane,
    id: { sessionId: string; epoch: number },
    owner: SessionOwner,
  ): SessionDriverApi {
    return this.#start(lane, { role: 'dialler', ...id }, owner);
  }

  /** Starts the session of an accepted lane; the dialler names it. */
  accepted(lane: Lane, owner: SessionOwner): SessionDriverApi {
    return this.#start(lane, { role: 'acceptor', sessionId: '', epoch: 0 }, owner);
  }

  #start(
    lane: Lane,
    id: Pick<DriverOptions, 'role' | 'sessionId' | 'epoch'>,
    owner: SessionOwner,
  ): SessionDriverApi {
    const { fabric, ...commons } = this.commons;
    const handlers = new HostedSession(this, lane, owner);
    this.#lanes.add(lane);
    const driver = this.#factory(lane, { ...commons, ...id, settings: fabric }, handlers);
    handlers.driver = driver;
    return driver;
  }

  /** Tells a peer what it may open here and, when this node drains, to open nothing. */
  greet(session: LiveSession): void {
    session.driver.offer(this.services.offersFor(session.peer));
    if (this.#draining) session.driver.drain();
  }

  /** Tells every peer anew what it may open here. */
  offerAnew(): void {
    for (const { driver, peer } of this.live.all()) driver.offer(this.services.offersFor(peer));
  }

  /** Tells every peer, and those to come, to open nothing new. */
  drain(): void {
    this.#draining = true;
    for (const { driver } of this.live.all()) driver.drain();
  }

  /** The session of this lane has ended. */
  ended(lane: Lane): void {
    this.#lanes.delete(lane);
  }

  /** The lanes of all sessions, established or not. */
  lanes(): Lane[] {
    return [...this.#lanes];
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
  readonly #lane: Lane;
  readonly #owner: SessionOwner;
  #session: LiveSession | undefined;

  constructor(host: SessionHost, lane: Lane, owner: SessionOwner) {
    this.#host = host;
    this.#lane = lane;
    this.#owner = owner;
  }

  admit(hello: PeerHello): Admission {
    return this.#owner.admit(hello);
  }

  onEstablished(): void {
    const { peer, remoteAddress, security, direction } = this.#lane;
    const session: LiveSession = {
      driver: this.driver!,
      peer,
      name: nodeName(peer),
      remoteAddress,
      security,
      establishedAtMs: this.#host.nowMs(),
    };
    this.#session = session;
    this.#host.live.add(session);
    this.#host.greet(session);
    this.#host.events.sessionUp(session, direction);
    this.#owner.onUp(session);
  }

  onOffers(services: readonly string[]): void {
    if (this.#session !== undefined) this.#host.live.offered(this.#session, services);
  }

  onStream(stream: IncomingStream): void {
    this.#host.services.onStream(stream, this.#lane.peer);
  }

  onDraining(): void {
    if (this.#session !== undefined) this.#host.live.draining(this.#session);
  }

  onClosed(end: SessionEnd): void {
    const session = this.#session;
    if (session !== undefined) {
      this.#host.live.remove(session);
      this.#host.events.sessionDown(session, end, this.#host.nowMs() - session.establishedAtMs);
    }
    this.#host.ended(this.#lane);
    this.#owner.onDown(end, session);
  }
}
