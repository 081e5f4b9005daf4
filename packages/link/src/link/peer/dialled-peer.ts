import type { RoutyError } from '@routy/proto/base';
import {
  expectBoolean,
  expectInteger,
  expectObject,
  expectSignal,
  type KeysOf,
} from '../../arguments/arguments.ts';
import type { LaneEnd, SessionDriverApi, SessionEnd } from '../../driver/driver-types.ts';
import type { LaneLink } from '../../driver/lanes/lane-link.ts';
import type { Candidate } from '../../locators/candidate.ts';
import type { DialStatus } from '../../peers/dial-scheduler.ts';
import { laneEndError } from '../../peers/end-text.ts';
import { type DiallerOwner, PeerDialler } from '../../peers/peer-dialler.ts';
import type { ProcessSessions } from '../../peers/process-sessions.ts';
import { Succession, type Successor } from '../../peers/succession.ts';
import { onAbort } from '../../transport/deadline.ts';
import type { Lane } from '../../transport/lane.ts';
import { realTimers } from '../../transport/timers.ts';
import type { Destination, Destinations } from '../destinations.ts';
import { endHint } from '../session/end-hints.ts';
import { LinkSession, type SessionFollower } from '../session/link-session.ts';
import { Peer, type PeerKeeper } from './peer.ts';

/** How a peer is dialled. */
export interface DialOptions {
  /** Connections kept up to it at the same time, 1 to 16; 1 by default. */
  readonly lanes?: number;
  /** Candidates of plain TCP are taken: nothing is encrypted and nobody proves who it is. */
  readonly insecure?: boolean;
  /** Closes the peer. */
  readonly signal?: AbortSignal | undefined;
}

/** What diallers of one link have in common. */
export interface DialGround {
  readonly sessions: ProcessSessions;
  readonly destinations: Destinations;
  readonly keeper: PeerKeeper;
}

const LANES_MAX = 16;

const KEYS: KeysOf<DialOptions> = { lanes: true, insecure: true, signal: true };

/** @throws LinkError `argument-invalid` */
export function expectDialOptions(options: DialOptions): void {
  expectObject('options', options, KEYS);
  expectInteger('lanes', options.lanes, 1, LANES_MAX);
  expectBoolean('insecure', options.insecure);
  expectSignal(options.signal);
}

/** A destination that is dialled and kept up until it is closed, whichever nodes it leads to. */
export class DialledPeer {
  readonly peer: Peer;
  readonly destination: Destination;
  readonly insecure: boolean;
  readonly ground: DialGround;
  readonly lanes: number;
  readonly #succession: Succession<DialledNode>;
  readonly #onClosed: () => void;
  #isClosing = false;
  #letGo: () => void = () => undefined;

  constructor(
    ground: DialGround,
    destination: Destination,
    { lanes = 1, insecure = false, signal }: DialOptions,
    onClosed: () => void,
  ) {
    this.ground = ground;
    this.destination = destination;
    this.insecure = insecure;
    this.lanes = lanes;
    this.#onClosed = onClosed;
    this.peer = new Peer('dialled', ground.keeper, (reason) => this.close(reason));
    this.#succession = new Succession(() => new DialledNode(this));
    if (signal === undefined) return;
    const stop = () => this.close('its signal has fired');
    onAbort(signal, stop);
    this.#letGo = () => signal.removeEventListener('abort', stop);
  }

  start(): void {
    this.#succession.start();
  }

  /** Ends its sessions; `shutdown` when this side stops altogether. */
  close(reason: string, code: 'normal' | 'shutdown' = 'normal'): void {
    if (this.#isClosing) return;
    this.#isClosing = true;
    this.#letGo();
    this.#succession.stopDialling();
    for (const each of this.#succession.all()) each.close(code, reason);
    this.peer.tellClosed();
    this.#onClosed();
  }

  /** It is the one that serves, and what becomes of it is told. */
  isCurrent(node: DialledNode): boolean {
    // While it is made there is no other.
    return this.#succession?.current === node;
  }

  onOtherNode(node: DialledNode, lane: Lane): boolean {
    return this.#succession.onOtherNode(node, lane);
  }

  onRetired(node: DialledNode): void {
    this.#succession.onRetired(node);
  }
}

/** A destination for as long as it leads to one node: its session and the lanes dialled for it. */
class DialledNode implements Successor, DiallerOwner<Destination>, SessionFollower {
  readonly otherNodeHint =
    'Dial each node by a destination of its own, or all of a cluster by one.';
  readonly #owner: DialledPeer;
  readonly #dialler: PeerDialler<Destination>;
  /** Where its last lane was found: what is to be resumed is there. */
  #found: Candidate | undefined;
  #session: LinkSession | undefined;
  #isRetired = false;

  constructor(owner: DialledPeer) {
    this.#owner = owner;
    this.#dialler = new PeerDialler([owner.destination], owner.lanes, this);
  }

  start(): void {
    this.#dialler.start();
  }

  startWith(lane: Lane): void {
    this.#dialler.startWith(lane);
  }

  retire(): void {
    this.#isRetired = true;
    this.#dialler.stopDialling();
  }

  stopDialling(): void {
    this.#dialler.stopDialling();
  }

  adopt(lane: Lane): boolean {
    return this.#dialler.adopt(lane);
  }

  awaits(name: string): boolean {
    return this.#dialler.awaits(name);
  }

  close(code: 'normal' | 'shutdown', reason: string): void {
    this.#dialler.driver?.close(code, reason);
  }

  // What the dialler asks for.

  async dial(destination: Destination, signal: AbortSignal): Promise<Lane> {
    const { ground, insecure } = this.#owner;
    const how = { insecure, first: this.#found, signal };
    const { lane, candidate, isProven } = await ground.destinations.dial(destination, how);
    if (!isProven) ground.sessions.claimed(lane);
    this.#found = candidate;
    return lane;
  }

  link(lane: Lane): LaneLink {
    return this.#owner.ground.sessions.link(lane);
  }

  begin(
    lane: Lane,
    id: { readonly sessionId: string; readonly replaces: string | undefined },
  ): SessionDriverApi {
    const { sessions, keeper } = this.#owner.ground;
    const session = new LinkSession(lane.peer, sessions.isProven(lane), keeper, this);
    this.#session = session;
    return session.drivenBy(sessions.dialled(lane, id, session));
  }

  endError(end: LaneEnd): RoutyError {
    return laneEndError(end, endHint(end));
  }

  onOtherNode(lane: Lane): boolean {
    return this.#owner.onOtherNode(this, lane);
  }

  /** The end of a lane or session that was established is told by itself. */
  onState({ attempts, lastError, nextAttemptAt }: DialStatus<Destination>): void {
    if (attempts === 0 || lastError === undefined || nextAttemptAt === undefined) return;
    if (!this.#owner.isCurrent(this)) return;
    this.#owner.peer.tellAttempt(
      lastError,
      Math.ceil(Math.max(0, nextAttemptAt - realTimers.now())),
    );
  }

  // What becomes of the session.

  onUp(session: LinkSession): void {
    this.#owner.ground.keeper.belongs(session, this.#owner.peer);
    this.#dialler.up();
    if (this.#owner.isCurrent(this)) this.#owner.peer.tellUp(session);
  }

  onLaneUp(laneId: number): void {
    this.#dialler.laneUp(laneId);
  }

  onLaneClosed(end: LaneEnd): void {
    this.#dialler.laneClosed(end);
  }

  onSuspended(reason: string): void {
    this.#dialler.suspended();
    if (this.#owner.isCurrent(this)) this.#owner.peer.tellSuspended(reason);
  }

  onResumed(suspendedMs: number): void {
    if (this.#owner.isCurrent(this)) this.#owner.peer.tellResumed(suspendedMs);
  }

  onDown(end: SessionEnd): void {
    const session = this.#session!;
    this.#session = undefined;
    this.#owner.ground.sessions.closed(session.driver);
    this.#dialler.down(end);
    if (this.#owner.peer.session === session) this.#owner.peer.tellDown(end);
    if (this.#isRetired) this.#owner.onRetired(this);
  }
}
