import { randomBytes } from 'node:crypto';
import {
  backoffCapMs,
  classifyFailure,
  nextDelayMs,
  nodeName,
  type RoutyError,
} from '@routy/proto/base';
import type { LaneEnd, SessionDriverApi, SessionEnd } from '../driver/driver-types.ts';
import type { LaneLink } from '../driver/lanes/lane-link.ts';
import type { Lane } from '../transport/lane.ts';
import { LinkError } from '../transport/link-error.ts';
import { DialScheduler, type DialStatus } from './dial-scheduler.ts';

/** What a dialler asks of its owner; `A`: what an address is. */
export interface DiallerOwner<A> {
  /** Dials one address; see `DialSchedulerOptions.dial`. */
  dial(address: A, signal: AbortSignal, hurried: boolean): Promise<Lane>;
  /** Starts reading a fresh lane. */
  link(lane: Lane): LaneLink;
  /** Begins a session with the peer of a lane; its handlers tell the dialler of what becomes of it. */
  begin(
    lane: Lane,
    id: { readonly sessionId: string; readonly replaces: string | undefined },
  ): SessionDriverApi;
  /** Why a lane has ended, for its next attempt. */
  endError(end: LaneEnd): RoutyError;
  /**
   * The session has no lane, and the address leads to another node than the session's. True when
   * the lane was taken.
   */
  onOtherNode(lane: Lane): boolean;
  /** The advice that goes with an address that leads to another node. */
  readonly otherNodeHint: string;
  /** Of one of its lanes; `isFirst`: of the one that begins sessions. */
  onState(status: DialStatus<A>, isFirst: boolean): void;
}

/** One of a session's lanes: dialled, and dialled again whenever it is lost. */
interface Slot<A> {
  readonly scheduler: DialScheduler<A>;
  /** Of the lane it has; undefined while it has none. */
  laneId: number | undefined;
}

/**
 * One peer that is dialled: its session and the lanes it dials for it. The first slot begins a
 * session; the others dial while there is one. Whoever hears of the session passes it on here.
 */
export class PeerDialler<A> {
  readonly #addresses: readonly A[];
  readonly #owner: DiallerOwner<A>;
  /** At least one. */
  readonly #slots: Slot<A>[] = [];
  #running = false;
  #driver: SessionDriverApi | undefined;
  /** The session was up once. */
  #established = false;
  /** Id of a session that this side gave up and the peer may still hold. */
  #givenUp: string | undefined;

  /** `addresses`: at least one, tried in turn. `lanes`: from 1 on. */
  constructor(addresses: readonly A[], lanes: number, owner: DiallerOwner<A>) {
    this.#addresses = addresses;
    this.#owner = owner;
    this.setLanes(lanes);
  }

  /** Of the lane that begins sessions. */
  get status(): DialStatus<A> {
    return this.#first.scheduler.status;
  }

  /** The session it has begun, which need not be established. */
  get driver(): SessionDriverApi | undefined {
    return this.#driver;
  }

  /** Begins to dial, at once and for ever. */
  start(): void {
    this.#running = true;
    this.#first.scheduler.start();
  }

  /** As {@link start}, with a lane that was dialled already. */
  startWith(lane: Lane): void {
    this.#running = true;
    this.#first.scheduler.adopt(lane);
  }

  /** Takes a lane that was dialled for another session; false when it has use for none. */
  adopt(lane: Lane): boolean {
    const slot = this.#slots.find(({ laneId }) => laneId === undefined);
    if (slot === undefined) return false;
    slot.scheduler.adopt(lane);
    return true;
  }

  /** Its session is with that node, `site/node`, and waits for a lane. */
  awaits(name: string): boolean {
    const driver = this.#established ? this.#driver : undefined;
    return driver?.suspended === true && nodeName(driver.peer) === name;
  }

  /** Begins no session any more; the one there is goes on, and its lost lanes are dialled. */
  stopDialling(): void {
    this.#running = false;
    if (this.#driver === undefined) stopAll(this.#slots);
  }

  /** How many lanes the session should have, from 1 on. */
  setLanes(lanes: number): void {
    while (this.#slots.length > lanes) this.#dropSlot();
    while (this.#slots.length < lanes) {
      const slot = this.#newSlot();
      this.#slots.push(slot);
      if (this.#established) slot.scheduler.start();
    }
  }

  // What becomes of the session.

  /** It is established. */
  up(): void {
    this.#established = true;
    this.#givenUp = undefined;
    for (const { scheduler } of this.#slots) scheduler.start();
  }

  /** A lane carries the session. */
  laneUp(laneId: number): void {
    this.#slotOf(laneId)?.scheduler.established();
  }

  /** A lane has ended: it is dialled again, unless its session is over. */
  laneClosed(end: LaneEnd): void {
    const slot = this.#slotOf(end.laneId);
    if (slot === undefined) return;
    slot.laneId = undefined;
    if (end.withSession && (slot !== this.#first || this.#isDisowned(end))) slot.scheduler.stop();
    else slot.scheduler.laneClosed(this.#owner.endError(end));
  }

  /** Its last lane is lost: all of them are dialled, and none waits any longer. */
  suspended(): void {
    for (const { scheduler } of this.#slots) scheduler.restart();
  }

  /** It has ended; while this dialler runs it begins the next. */
  down(end: SessionEnd): void {
    const wasEstablished = this.#established;
    this.#givenUp = this.#toReplace(end);
    this.#driver = undefined;
    this.#established = false;
    stopAll(this.#running ? this.#slots.slice(1) : this.#slots);
    if (this.#running && wasEstablished) this.#first.scheduler.restart();
  }

  get #first(): Slot<A> {
    return this.#slots[0]!;
  }

  /**
   * The peer has ended an established session at a lane that was to bring it back. That speaks for
   * the address: the next session is dialled there, not at the address after it.
   */
  #isDisowned({ remote, wasUp }: LaneEnd): boolean {
    return remote && !wasUp && this.#established;
  }

  #slotOf(laneId: number): Slot<A> | undefined {
    return this.#slots.find((slot) => slot.laneId === laneId);
  }

  #newSlot(): Slot<A> {
    const scheduler = new DialScheduler<A>({
      addresses: this.#addresses,
      dial: (address, signal, hurried) => this.#owner.dial(address, signal, hurried),
      nextDelayMs: (attempt, error) =>
        nextDelayMs({ attempt, random01: Math.random(), capMs: backoffCapMs(error?.code) }),
      isRefusal: (error) => classifyFailure(error.code) === 'refusal',
      onLane: (lane) => this.#onLane(slot, lane),
      onState: (status) => this.#owner.onState(status, slot === this.#first),
    });
    const slot: Slot<A> = { scheduler, laneId: undefined };
    return slot;
  }

  /** One whose lane does not carry the session, if there is one: the session must not suffer. */
  #dropSlot(): void {
    const idle = this.#slots.findLastIndex(({ scheduler }) => scheduler.status.state !== 'up');
    const [slot] = this.#slots.splice(idle, 1);
    slot!.scheduler.stop();
    if (slot!.laneId === undefined) return;
    this.#driver!.closeLane(slot!.laneId, 'fewer lanes are configured');
  }

  #onLane(slot: Slot<A>, lane: Lane): void {
    this.#driver ??= this.#begin(lane);
    const { peer } = this.#driver;
    if (nodeName(lane.peer) === nodeName(peer)) {
      slot.laneId = this.#driver.dial(this.#owner.link(lane));
      return;
    }
    const isTaken = this.#driver.suspended && this.#owner.onOtherNode(lane);
    if (!isTaken) lane.destroy();
    const text = `${lane.remoteAddress} leads to ${nodeName(lane.peer)}, the session is with ${nodeName(peer)}`;
    const hint = this.#owner.otherNodeHint;
    slot.scheduler.laneClosed(new LinkError('lane-closed', text, { hint }));
  }

  #begin(lane: Lane): SessionDriverApi {
    const sessionId = randomBytes(16).toString('hex');
    return this.#owner.begin(lane, { sessionId, replaces: this.#givenUp });
  }

  /** What the next session has to say that it replaces. */
  #toReplace(end: SessionEnd): string | undefined {
    // A peer that has said no to a new session does not hold it, but may hold the one before.
    if (!this.#established && end.remote) return this.#givenUp;
    // It may hold either of the two, and only the one before can have streams.
    if (!this.#established && this.#givenUp !== undefined) return this.#givenUp;
    if (end.code === 'unknown-session' || end.code === 'taken-over') return undefined;
    return this.#driver?.sessionId;
  }
}

function stopAll<A>(slots: readonly Slot<A>[]): void {
  for (const { scheduler } of slots) scheduler.stop();
}
