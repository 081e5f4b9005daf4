import { nodeName } from '@routy/proto/base';
import type { DriverHandlers, SessionDriverApi } from '../driver/driver-types.ts';
import { LaneLink } from '../driver/lanes/lane-link.ts';
import { PeerScheduler } from '../driver/peer-scheduler.ts';
import { startSession } from '../driver/session-driver.ts';
import type { DriverOptions, SessionCommons } from '../driver/session-options.ts';
import type { Lane } from '../transport/lane.ts';

/** What the TLS handshake of a lane costs, roughly, in ms: nobody measures it. */
const HANDSHAKE_MS = 4;

/** Makes a session; `startSession` of the driver, or a fake in tests. */
export type SessionFactory = (options: DriverOptions, handlers: DriverHandlers) => SessionDriverApi;

/** What all sessions of a process have in common, whoever dialled: lanes, turns, and their ids. */
export class ProcessSessions {
  /** What all of them have in common. */
  readonly commons: SessionCommons;
  readonly #factory: SessionFactory;
  readonly #links = new Set<LaneLink>();
  readonly #scheduler = new PeerScheduler();
  /** Ids of the sessions that this side dialled, until they are closed. */
  readonly #dialled = new Set<string>();
  /** Lanes whose peer is only believed to be who it says it is. */
  readonly #claimed = new WeakSet<Lane>();
  #onEmpty: (() => void)[] = [];

  constructor(commons: SessionCommons, factory: SessionFactory = startSession) {
    this.commons = commons;
    this.#factory = factory;
  }

  /**
   * Nothing proves who is at the other end of this lane. What it takes, memory and time, is not taken
   * from a peer that has proven to have that name.
   */
  claimed(lane: Lane): void {
    this.#claimed.add(lane);
  }

  /** Whether the peer of a lane has proven who it is. */
  isProven(lane: Lane): boolean {
    return !this.#claimed.has(lane);
  }

  /** Starts reading a fresh lane. */
  link(lane: Lane): LaneLink {
    const turn = this.#scheduler.of(this.#holderOf(lane));
    const link = new LaneLink(lane, turn, (gone) => this.#gone(gone));
    turn.charge(HANDSHAKE_MS);
    this.#links.add(link);
    return link;
  }

  /** Begins a session with the peer of a lane that this side has dialled. */
  dialled(
    lane: Pick<Lane, 'peer'>,
    id: { readonly sessionId: string; readonly replaces: string | undefined },
    handlers: DriverHandlers,
  ): SessionDriverApi {
    const driver = this.#begin('dialler', lane, id, handlers);
    this.#dialled.add(driver.sessionId);
    return driver;
  }

  /** Begins a session that the peer of a lane asks for; the peer has named it. */
  accepted(
    lane: Pick<Lane, 'peer'>,
    sessionId: string,
    handlers: DriverHandlers,
  ): SessionDriverApi {
    return this.#begin('acceptor', lane, { sessionId }, handlers);
  }

  /** The id is that of a session which this side dials or has dialled, and which is not closed. */
  isDialled(sessionId: string): boolean {
    return this.#dialled.has(sessionId);
  }

  /** A dialled session is closed; to be told before its owner may begin the next. */
  closed({ sessionId }: Pick<SessionDriverApi, 'sessionId'>): void {
    this.#dialled.delete(sessionId);
  }

  /** All lanes that are not closed yet, whether they carry a session or not. */
  lanes(): Lane[] {
    return [...this.#links].map(({ lane }) => lane);
  }

  /** Resolves when no lane is open any more. */
  emptied(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#links.size === 0) resolve();
      else this.#onEmpty.push(resolve);
    });
  }

  #begin(
    role: DriverOptions['role'],
    lane: Pick<Lane, 'peer'>,
    id: Pick<DriverOptions, 'sessionId' | 'replaces'>,
    handlers: DriverHandlers,
  ): SessionDriverApi {
    const { peer } = lane;
    const holder = this.#holderOf(lane);
    return this.#factory({ commons: this.commons, role, peer, holder, ...id }, handlers);
  }

  /** By whose name its share of memory and time goes; no name has a space. */
  #holderOf(lane: Pick<Lane, 'peer'>): string {
    const name = nodeName(lane.peer);
    return this.#claimed.has(lane as Lane) ? `${name} claimed` : name;
  }

  #gone(link: LaneLink): void {
    this.#links.delete(link);
    if (this.#links.size > 0) return;
    for (const resolve of this.#onEmpty.splice(0)) resolve();
  }
}
