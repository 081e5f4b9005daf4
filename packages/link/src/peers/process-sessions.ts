import { type Identity, nodeName } from '@routy/proto/base';
import type { DriverHandlers, SessionDriverApi } from '../driver/driver-types.ts';
import { LaneLink } from '../driver/lanes/lane-link.ts';
import { PeerTurns } from '../driver/peer-turns.ts';
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
  readonly #turns = new PeerTurns();
  /** Ids of the sessions that this side dialled, until they are closed. */
  readonly #dialled = new Set<string>();
  #onEmpty: (() => void)[] = [];

  constructor(commons: SessionCommons, factory: SessionFactory = startSession) {
    this.commons = commons;
    this.#factory = factory;
  }

  /** Starts reading a fresh lane. */
  link(lane: Lane): LaneLink {
    const turn = this.#turns.of(nodeName(lane.peer));
    const link = new LaneLink(lane, turn, (gone) => this.#gone(gone));
    turn.charge(HANDSHAKE_MS);
    this.#links.add(link);
    return link;
  }

  /** Begins a session with a peer that this side dials. */
  dialled(
    peer: Identity,
    id: { readonly sessionId: string; readonly replaces: string | undefined },
    handlers: DriverHandlers,
  ): SessionDriverApi {
    const options: DriverOptions = { commons: this.commons, role: 'dialler', peer, ...id };
    const driver = this.#factory(options, handlers);
    this.#dialled.add(driver.sessionId);
    return driver;
  }

  /** Begins a session that a peer asks for; the peer has named it. */
  accepted(peer: Identity, sessionId: string, handlers: DriverHandlers): SessionDriverApi {
    return this.#factory({ commons: this.commons, role: 'acceptor', peer, sessionId }, handlers);
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

  #gone(link: LaneLink): void {
    this.#links.delete(link);
    if (this.#links.size > 0) return;
    for (const resolve of this.#onEmpty.splice(0)) resolve();
  }
}
