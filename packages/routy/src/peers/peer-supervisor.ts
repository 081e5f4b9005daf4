import { performance } from 'node:perf_hooks';
import type { LaneEnd, LaneLink, SessionDriverApi, SessionEnd } from '@routy/link/driver';
import {
  type DiallerOwner,
  type DialState,
  type DialStatus,
  laneEndError,
  PeerDialler,
  type Successor,
} from '@routy/link/peers';
import { type DialTimeouts, HURRIED_TIMEOUTS, type Lane, systemCode } from '@routy/link/transport';
import { formatAddress, nodeName, type RoutyError, type TcpAddress } from '@routy/proto/base';
import type { PeerConfig } from '../config/types.ts';
import { laneHint } from '../events/lane-hint.ts';
import { type DialAnswer, GoneEvidence } from '../fabric/gone-evidence.ts';
import type { LiveSession } from '../sessions/live-sessions.ts';
import { isoTime, nodeClockMs } from '../status/clock.ts';
import type { PeerStatus } from '../status/status.ts';
import type { SessionHost, SessionOwner } from './session-host.ts';

/** Dials one address of a peer; `dialLane` with this node's credentials. */
export type DialPeer = (dial: {
  readonly address: PeerConfig['addresses'][number];
  readonly via: string | undefined;
  readonly timeouts: Partial<DialTimeouts> | undefined;
  readonly signal: AbortSignal;
}) => Promise<Lane>;

/** What a supervisor asks of those who know the peer's other sessions. */
export interface SupervisorOwner {
  /**
   * The session has no lane, and the address leads to another node than the session's. True when
   * the lane was taken.
   */
  onOtherNode(supervisor: PeerSupervisor, lane: Lane): boolean;
  /** A supervisor that was told to retire has no session any more. */
  onRetired(supervisor: PeerSupervisor): void;
}

/** One configured peer: what is told and shown of its session, and when it is given up. */
export class PeerSupervisor implements SessionOwner, Successor, DiallerOwner<TcpAddress> {
  readonly otherNodeHint = 'Give each node a [[peer]] of its own.';
  readonly #config: PeerConfig;
  readonly #addresses: readonly string[];
  readonly #host: SessionHost;
  readonly #dial: DialPeer;
  readonly #owner: SupervisorOwner;
  readonly #dialler: PeerDialler<TcpAddress>;
  /** What its addresses say while the session has no lane. */
  readonly #evidence: GoneEvidence;
  #isRetired = false;
  #session: LiveSession | undefined;
  /** Of the last session. */
  #name: string | null = null;
  /** What the status shows without a session: redialling after a failure does not hide it. */
  #shown: DialState = 'down';
  #shownSinceMs = nodeClockMs();

  constructor(config: PeerConfig, host: SessionHost, dial: DialPeer, owner: SupervisorOwner) {
    this.#config = config;
    this.#addresses = config.addresses.map(formatAddress);
    this.#evidence = new GoneEvidence(this.#addresses);
    this.#owner = owner;
    this.#host = host;
    this.#dial = dial;
    this.#dialler = new PeerDialler(config.addresses, config.lanes, this);
  }

  start(): void {
    this.#dialler.start();
  }

  startWith(lane: Lane): void {
    this.#dialler.startWith(lane);
  }

  retire(): void {
    this.#isRetired = true;
    this.stopDialling();
  }

  adopt(lane: Lane): boolean {
    return this.#dialler.adopt(lane);
  }

  /** `site/node` of its session, or of the last one it had. */
  get name(): string | null {
    return this.#name;
  }

  awaits(name: string): boolean {
    return this.#dialler.awaits(name);
  }

  /** Begins no session any more; the one there is goes on, and its lost lanes are dialled. */
  stopDialling(): void {
    this.#dialler.stopDialling();
  }

  /** How many lanes the session should have, from 1 on. */
  setLanes(lanes: number): void {
    this.#dialler.setLanes(lanes);
  }

  /** It is configured no more: its session ends, and nothing is said of it after that. */
  remove(): number {
    this.stopDialling();
    const streams = this.close('normal', 'the peer was removed from the configuration');
    const name = this.#name;
    const isGone = name !== null && this.#host.live.to(name).length === 0;
    this.#host.events.peerRemoved(this.#addresses.join(', '), isGone ? name : undefined);
    return streams;
  }

  close(code: 'normal' | 'shutdown', reason: string): number {
    const streams = this.#session?.driver.stats().streams ?? 0;
    this.#dialler.driver?.close(code, reason);
    return streams;
  }

  // What the dialler asks for.

  dial(address: TcpAddress, signal: AbortSignal, hurried: boolean): Promise<Lane> {
    const { via } = this.#config;
    const timeouts = hurried ? HURRIED_TIMEOUTS : undefined;
    return this.#noting(address, this.#dial({ address, via, signal, timeouts }));
  }

  link(lane: Lane): LaneLink {
    return this.#host.sessions.link(lane);
  }

  begin(
    lane: Lane,
    id: { readonly sessionId: string; readonly replaces: string | undefined },
  ): SessionDriverApi {
    return this.#host.dialled(lane, id, this);
  }

  endError(end: LaneEnd): RoutyError {
    return laneEndError(end, laneHint(end));
  }

  onOtherNode(lane: Lane): boolean {
    return this.#owner.onOtherNode(this, lane);
  }

  onState(status: DialStatus, isFirst: boolean): void {
    if (isFirst && this.#session === undefined) this.#show(status);
    this.#tellFailure(status);
  }

  // What becomes of the session.

  onUp(session: LiveSession): void {
    this.#session = session;
    this.#name = session.name;
    this.#shown = 'up';
    this.#dialler.up();
  }

  onLaneUp(laneId: number): void {
    this.#dialler.laneUp(laneId);
  }

  onLaneClosed(end: LaneEnd): void {
    this.#dialler.laneClosed(end);
  }

  onSuspended(): void {
    this.#evidence.clear();
    this.#dialler.suspended();
  }

  onDown(end: SessionEnd): void {
    this.#session = undefined;
    this.#dialler.down(end);
    this.#show(this.#dialler.status);
    if (this.#isRetired) this.#owner.onRetired(this);
  }

  status(): PeerStatus {
    const session = this.#session;
    if (session !== undefined) return this.#statusOf(session);
    const { attempts, lastError, nextAttemptAt, address } = this.#dialler.status;
    return {
      name: this.#name,
      direction: 'dialled',
      addresses: this.#addresses,
      state: this.#shown,
      since: isoTime(this.#shownSinceMs),
      reason: lastError?.message ?? `dialling ${formatAddress(address)}`,
      hint: lastError?.hint ?? null,
      attempts,
      nextAttemptInMs: millisecondsUntil(nextAttemptAt),
      session: null,
    };
  }

  #statusOf(session: LiveSession): PeerStatus {
    const { trouble } = session;
    const { attempts, lastError, nextAttemptAt } = this.#dialler.status;
    return {
      name: session.name,
      direction: 'dialled',
      addresses: this.#addresses,
      state: trouble === undefined ? 'up' : 'suspended',
      since: isoTime(session.sinceMs),
      reason: trouble === undefined ? null : (lastError?.message ?? trouble.reason),
      hint: (trouble && (lastError?.hint ?? trouble.hint)) ?? null,
      attempts: trouble === undefined ? 0 : attempts,
      nextAttemptInMs: trouble === undefined ? null : millisecondsUntil(nextAttemptAt),
      session: this.#host.live.status(session),
    };
  }

  /** Keeps what an address says of a node whose session has no lane. */
  async #noting(address: TcpAddress, dialling: Promise<Lane>): Promise<Lane> {
    try {
      const lane = await dialling;
      const isOther = nodeName(lane.peer) !== this.#session?.name;
      this.#note(address, isOther ? 'other' : 'unclear');
      return lane;
    } catch (error) {
      // A proxy that refuses says nothing of the node behind it.
      const isRefusal = this.#config.via === undefined && systemCode(error) === 'dial-refused';
      this.#note(address, isRefusal ? 'refused' : 'unclear');
      throw error;
    }
  }

  #note(address: TcpAddress, answer: DialAnswer): void {
    const session = this.#session;
    if (session?.driver.suspended !== true) return;
    this.#evidence.note(performance.now(), formatAddress(address), answer);
    const other = this.#host.live.otherNode(session);
    if (!this.#evidence.isGone(performance.now(), other !== undefined)) return;
    // Not from within the scheduler that has just been told the same.
    setImmediate(() => {
      if (this.#session !== session || !session.driver.suspended) return;
      const instead = other === undefined ? 'another node' : other.name;
      const reason = `it is gone: ${this.#addresses.join(', ')} no longer leads to it, ${instead} serves`;
      session.driver.close('resume-timeout', reason);
    });
  }

  #show({ state, since }: DialStatus): void {
    const redials =
      state === 'dialling' && (this.#shown === 'backoff' || this.#shown === 'refused');
    if (state === this.#shown || redials) return;
    // It may have dialled before the session ended, to bring it back: that was shown as suspended.
    this.#shownSinceMs = this.#shown === 'up' ? nodeClockMs() : since;
    this.#shown = state;
  }

  /** The end of an established lane or session was told by itself; this is about failed attempts. */
  #tellFailure({ state, attempts, lastError, nextAttemptAt }: DialStatus): void {
    if (state !== 'backoff' && state !== 'refused') return;
    if (attempts === 0 || lastError === undefined) return;
    const session = this.#session;
    // It has just ended, and its lanes with it: that is told next.
    if (session !== undefined && !session.driver.established) return;
    this.#host.events.dialFailed({
      peer: this.#name,
      session: session === undefined ? 'none' : session.driver.suspended ? 'suspended' : 'up',
      addresses: this.#addresses.join(', '),
      code: lastError.code,
      reason: lastError.message,
      hint: lastError.hint ?? null,
      attempts,
      delayMs: millisecondsUntil(nextAttemptAt) ?? 0,
    });
  }
}

function millisecondsUntil(atMs: number | undefined): number | null {
  return atMs === undefined ? null : Math.max(0, Math.round(atMs - nodeClockMs()));
}
