import { randomBytes } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import type { LaneEnd, SessionDriverApi, SessionEnd } from '@routy/link/driver';
import {
  DialScheduler,
  type DialState,
  type DialStatus,
  type DialTimeouts,
  HURRIED_TIMEOUTS,
  type Lane,
  systemCode,
} from '@routy/link/transport';
import {
  backoffCapMs,
  classifyFailure,
  formatAddress,
  nextDelayMs,
  RoutyError,
  type TcpAddress,
} from '@routy/proto/base';
import type { PeerConfig } from '../config/types.ts';
import { endText, laneHint } from '../events/end-text.ts';
import { type DialAnswer, GoneEvidence } from '../fabric/gone-evidence.ts';
import { type LiveSession, nodeName } from '../sessions/live-sessions.ts';
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

/** One of a session's lanes: dialled, and dialled again whenever it is lost. */
interface Slot {
  readonly scheduler: DialScheduler;
  /** Of the lane it has; undefined while it has none. */
  epoch: number | undefined;
}

/**
 * One configured peer: its session and the lanes it dials for it. The first slot begins a session;
 * the others dial while there is one.
 */
export class PeerSupervisor implements SessionOwner {
  readonly #config: PeerConfig;
  readonly #addresses: readonly string[];
  readonly #host: SessionHost;
  readonly #dial: DialPeer;
  readonly #owner: SupervisorOwner;
  /** What its addresses say while the session has no lane. */
  readonly #evidence: GoneEvidence;
  /** At least one. */
  readonly #slots: Slot[] = [];
  #running = false;
  #isRetired = false;
  #driver: SessionDriverApi | undefined;
  #session: LiveSession | undefined;
  /** Id of a session that this node gave up and the peer may still hold. */
  #givenUp: string | undefined;
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
    this.setLanes(config.lanes);
  }

  start(): void {
    this.#running = true;
    this.#first.scheduler.start();
  }

  /** As {@link start}, with a lane that was dialled already. */
  startWith(lane: Lane): void {
    this.#running = true;
    this.#first.scheduler.adopt(lane);
  }

  /** Another one begins sessions from now on; the one there is goes on, or waits for its lanes. */
  retire(): void {
    this.#isRetired = true;
    this.stopDialling();
  }

  /** Takes a lane that was dialled for another session; false when it has use for none. */
  adopt(lane: Lane): boolean {
    const slot = this.#slots.find(({ epoch }) => epoch === undefined);
    if (slot === undefined) return false;
    slot.scheduler.adopt(lane);
    return true;
  }

  /** `site/node` of its session, or of the last one it had. */
  get name(): string | null {
    return this.#name;
  }

  /** Its session is with this node, and waits for a lane. */
  awaits(name: string): boolean {
    const { driver } = this.#session ?? {};
    return driver?.suspended === true && nodeName(driver.peer) === name;
  }

  /** Begins no session any more; the one there is goes on, and its lost lanes are dialled. */
  stopDialling(): void {
    this.#running = false;
    if (this.#driver === undefined) this.#stopSlots(this.#slots);
  }

  /** How many lanes the session should have, from 1 on. */
  setLanes(lanes: number): void {
    while (this.#slots.length > lanes) this.#dropSlot();
    while (this.#slots.length < lanes) {
      const slot = this.#newSlot();
      this.#slots.push(slot);
      if (this.#session !== undefined) slot.scheduler.start();
    }
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
    this.#driver?.close(code, reason);
    return streams;
  }

  onUp(session: LiveSession): void {
    this.#session = session;
    this.#name = session.name;
    this.#givenUp = undefined;
    this.#shown = 'up';
    for (const { scheduler } of this.#slots) scheduler.start();
  }

  onLaneUp(epoch: number): void {
    this.#slotOf(epoch)?.scheduler.established();
  }

  onLaneClosed(end: LaneEnd): void {
    const slot = this.#slotOf(end.epoch);
    if (slot === undefined) return;
    slot.epoch = undefined;
    if (end.withSession && (slot !== this.#first || this.#isDisowned(end))) slot.scheduler.stop();
    else slot.scheduler.laneClosed(endError(end));
  }

  onSuspended(): void {
    this.#evidence.clear();
    for (const { scheduler } of this.#slots) scheduler.restart();
  }

  onDown(end: SessionEnd, session: LiveSession | undefined): void {
    this.#givenUp = this.#toReplace(end, session);
    this.#driver = undefined;
    this.#session = undefined;
    this.#stopSlots(this.#running ? this.#slots.slice(1) : this.#slots);
    const { scheduler } = this.#first;
    if (this.#running && session !== undefined) scheduler.restart();
    this.#show(scheduler.status);
    if (this.#isRetired) this.#owner.onRetired(this);
  }

  status(): PeerStatus {
    const session = this.#session;
    if (session !== undefined) return this.#statusOf(session);
    const { attempts, lastError, nextAttemptAt, address } = this.#first.scheduler.status;
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
    const { attempts, lastError, nextAttemptAt } = this.#first.scheduler.status;
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

  get #first(): Slot {
    return this.#slots[0]!;
  }

  /**
   * The peer has ended an established session at a lane that was to bring it back. That speaks for
   * the address: the next session is dialled there, not at the address after it.
   */
  #isDisowned({ remote, wasUp }: LaneEnd): boolean {
    return remote && !wasUp && this.#session !== undefined;
  }

  #slotOf(epoch: number): Slot | undefined {
    return this.#slots.find((slot) => slot.epoch === epoch);
  }

  #newSlot(): Slot {
    const { addresses, via } = this.#config;
    const scheduler = new DialScheduler({
      addresses,
      dial: (address, signal, hurried) => {
        const timeouts = hurried ? HURRIED_TIMEOUTS : undefined;
        return this.#noting(address, this.#dial({ address, via, signal, timeouts }));
      },
      nextDelayMs: (attempt, error) =>
        nextDelayMs({ attempt, random01: Math.random(), capMs: backoffCapMs(error?.code) }),
      isRefusal: (error) => classifyFailure(error.code) === 'refusal',
      onLane: (lane) => this.#onLane(slot, lane),
      onState: (status) => this.#onState(slot, status),
    });
    const slot: Slot = { scheduler, epoch: undefined };
    return slot;
  }

  /** One whose lane does not carry the session, if there is one: the session must not suffer. */
  #dropSlot(): void {
    const idle = this.#slots.findLastIndex(({ scheduler }) => scheduler.status.state !== 'up');
    const [slot] = this.#slots.splice(idle, 1);
    slot!.scheduler.stop();
    if (slot!.epoch === undefined) return;
    this.#driver!.closeLane(slot!.epoch, 'fewer lanes are configured');
  }

  #stopSlots(slots: readonly Slot[]): void {
    for (const { scheduler } of slots) scheduler.stop();
  }

  #onLane(slot: Slot, lane: Lane): void {
    this.#driver ??= this.#begin(lane);
    const { peer } = this.#driver;
    if (nodeName(lane.peer) === nodeName(peer)) {
      slot.epoch = this.#driver.dial(this.#host.link(lane));
      return;
    }
    const isTaken = this.#driver.suspended && this.#owner.onOtherNode(this, lane);
    if (!isTaken) lane.destroy();
    const text = `${lane.remoteAddress} leads to ${nodeName(lane.peer)}, the session is with ${nodeName(peer)}`;
    const hint = 'Give each node a [[peer]] of its own.';
    slot.scheduler.laneClosed(new RoutyError('lane-closed', text, { hint }));
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

  #begin(lane: Lane): SessionDriverApi {
    const sessionId = randomBytes(16).toString('hex');
    return this.#host.dialled(lane.peer, { sessionId, replaces: this.#givenUp }, this);
  }

  /** What the next session has to say that it replaces. */
  #toReplace(end: SessionEnd, session: LiveSession | undefined): string | undefined {
    // A peer that has said no to a new session does not hold it, but may hold the one before.
    if (session === undefined && end.remote) return this.#givenUp;
    // It may hold either of the two, and only the one before can have streams.
    if (session === undefined && this.#givenUp !== undefined) return this.#givenUp;
    if (end.code === 'unknown-session' || end.code === 'taken-over') return undefined;
    return this.#driver?.sessionId;
  }

  #onState(slot: Slot, status: DialStatus): void {
    if (slot === this.#first && this.#session === undefined) this.#show(status);
    this.#tellFailure(status);
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

function endError(end: LaneEnd): RoutyError {
  // In TLS 1.3 the dialler's handshake is over before its certificate was judged: a refused
  // certificate shows as a lane that the peer ends before the first frame.
  if (!end.wasUp && end.code === 'lane-lost') {
    return (
      end.laneError ??
      new RoutyError('lane-refused', endText(end), {
        hint: 'If this repeats, the peer refuses the certificate of this node: its log says why.',
      })
    );
  }
  const hint = laneHint(end);
  return new RoutyError(end.code, endText(end), hint === undefined ? {} : { hint });
}
