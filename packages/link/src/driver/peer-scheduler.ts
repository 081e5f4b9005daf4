import { performance } from 'node:perf_hooks';

/** How long the lanes of one peer may take in one turn, in ms. */
const SLICE_MS = 2;
/** Bytes are taken in parts that take about so long, in ms, and of no less than so many. */
const PART_MS = 1;
const PART_BYTES_MIN = 4 * 1024;
/** How many times as long as its slice a peer waits, for each other that has work. */
const WAIT_FACTOR = 2;
const WAIT_MS_MAX = 50;
/** A peer that had work within this time has more, in ms. */
const ACTIVE_MS = 20;
/** How often a peer that waits sees whether others make use of the event loop, in ms. */
const TICK_MS = 1;
/** Parts of a tick for which the loop was idle: others need little, or nothing at all. */
const IDLE_PART = { little: 0.5, nothing: 0.9 };
/** Most slices without a wait, where one after the other was for nobody. */
const SLICES_FREE_MAX = 16;

/** What can be told to wait. */
interface Pausable {
  pause(): void;
  resume(): void;
}

/** The time, and how much of it the event loop has been idle, in ms. */
export interface LoopClock {
  nowMs(): number;
  idleMs(): number;
}

const SYSTEM_CLOCK: LoopClock = {
  nowMs: () => performance.now(),
  idleMs: () => performance.eventLoopUtilization().idle,
};

/**
 * The turns that the lanes of one peer take together. What a peer sends costs time to work on, and
 * some of it far more than its bytes: after a slice of time its lanes are not read any more, so that
 * others go in between. Where others have work as well, the peer *yields*: for a multiple of its
 * slice nothing is done for it that can wait. It goes on at once when the event loop would be idle
 * instead, or when all of them yield and it has the least time left.
 */
export class ScheduledPeer {
  readonly #lanes = new Set<Pausable>();
  readonly #scheduler: PeerScheduler;
  readonly #peer: string;
  readonly #clock: LoopClock;
  readonly #onRound = () => this.#goOn();
  readonly #onTick = () => this.#tick();
  #timer: NodeJS.Timeout | undefined;
  #activeAtMs = -Infinity;
  #partBytes = Infinity;
  #spentMs = 0;
  /** Since when that was spent. */
  #spentSinceMs: number;
  #waits = false;
  #yields = false;
  /** When it began to yield, and what the clock was when that was last looked at. */
  #yieldsSinceMs = 0;
  #tickMs = 0;
  #tickIdleMs = 0;
  /** Slices that may still follow without a wait, and how many there were the last time. */
  #slicesFree = 0;
  #slicesFreed = 0;

  constructor(scheduler: PeerScheduler, peer: string, clock: LoopClock) {
    this.#scheduler = scheduler;
    this.#peer = peer;
    this.#clock = clock;
    this.#spentSinceMs = clock.nowMs();
  }

  /** How much of a lane's bytes to take at a time, going by what those before have cost. */
  get partBytes(): number {
    return this.#partBytes;
  }

  /** There is no other peer that could be held up. */
  get isAlone(): boolean {
    return this.#scheduler.size === 1;
  }

  /** Its work holds nobody up, and is not measured. */
  get isFree(): boolean {
    return this.isAlone && !this.#waits;
  }

  /** Nothing is read from its lanes for now. */
  get waits(): boolean {
    return this.#waits;
  }

  /** Nor is anything else done for it that can wait: others have their turn. */
  get yields(): boolean {
    return this.#yields;
  }

  nowMs(): number {
    return this.#clock.nowMs();
  }

  get activeAtMs(): number {
    return this.#activeAtMs;
  }

  /** For how long it is still to yield, in ms. */
  get leftMs(): number {
    const others = this.#scheduler.activeSince(this.#yieldsSinceMs - ACTIVE_MS) - 1;
    const waitMs = WAIT_FACTOR * this.#spentMs * Math.max(1, others);
    return this.#yieldsSinceMs + Math.min(WAIT_MS_MAX, waitMs) - this.#clock.nowMs();
  }

  join(lane: Pausable): void {
    this.#lanes.add(lane);
    if (this.#waits) lane.pause();
  }

  leave(lane: Pausable): void {
    this.#lanes.delete(lane);
    if (this.#lanes.size === 0) this.#scheduler.forget(this.#peer);
  }

  /** Work for the peer, maybe on `bytes` of a lane, began at `sinceMs` of the clock and is done. */
  spent(sinceMs: number, bytes = 0): void {
    this.#activeAtMs = this.#clock.nowMs();
    const ms = this.#activeAtMs - sinceMs;
    if (bytes >= PART_BYTES_MIN) {
      this.#partBytes = Math.max(PART_BYTES_MIN, Math.floor((PART_MS / ms) * bytes));
    }
    this.#add(ms);
  }

  /** Work for the peer takes about so long where nobody measures it, in ms. */
  charge(ms: number): void {
    if (!this.isAlone) this.#add(ms);
  }

  #add(ms: number): void {
    this.#spentMs += ms;
    if (this.#spentMs < SLICE_MS || this.#waits) return;
    if (!this.isAlone) this.#settle(ms);
    if (this.#spentMs < SLICE_MS) return;
    this.#waits = true;
    for (const lane of this.#lanes) lane.pause();
    if (!this.isAlone && this.#slicesFree === 0) {
      this.#yield();
    } else {
      this.#slicesFree = Math.max(0, this.#slicesFree - 1);
      setImmediate(this.#onRound);
    }
  }

  /** What it has left to others since counts as waited: who needs little never has to yield. */
  #settle(lastMs: number): void {
    const nowMs = this.#clock.nowMs();
    const others = this.#scheduler.activeSince(nowMs - ACTIVE_MS) - 1;
    const leftMs = Math.max(0, nowMs - this.#spentSinceMs - this.#spentMs);
    const owedMs = this.#spentMs - leftMs / (WAIT_FACTOR * Math.max(1, others));
    this.#spentMs = Math.max(lastMs, owedMs);
    this.#spentSinceMs = nowMs;
  }

  #yield(): void {
    this.#yields = true;
    this.#yieldsSinceMs = this.#clock.nowMs();
    this.#look();
    this.#scheduler.nextOfAll(this.#yieldsSinceMs - ACTIVE_MS)?.cutShort();
  }

  #look(): void {
    this.#tickMs = this.#clock.nowMs();
    this.#tickIdleMs = this.#clock.idleMs();
    this.#timer = setTimeout(this.#onTick, TICK_MS);
  }

  #tick(): void {
    const idleMs = this.#clock.idleMs() - this.#tickIdleMs;
    const tookMs = this.#clock.nowMs() - this.#tickMs;
    const wasForNobody = idleMs > IDLE_PART.nothing * tookMs;
    this.#slicesFreed = wasForNobody ? Math.min(SLICES_FREE_MAX, 2 * this.#slicesFreed + 1) : 0;
    if (idleMs <= IDLE_PART.little * tookMs && this.leftMs > 0) {
      this.#look();
      return;
    }
    this.#slicesFree = this.#slicesFreed;
    this.#goOn();
  }

  /** Nobody is left to wait for. */
  cutShort(): void {
    this.#yields = false;
    clearTimeout(this.#timer);
    setImmediate(this.#onRound);
  }

  #goOn(): void {
    this.#spentMs = 0;
    this.#spentSinceMs = this.#clock.nowMs();
    this.#waits = false;
    this.#yields = false;
    for (const lane of this.#lanes) lane.resume();
  }
}

/** Gives turns to all peers that have a lane. */
export class PeerScheduler {
  readonly #byPeer = new Map<string, ScheduledPeer>();
  readonly #clock: LoopClock;

  /** `clock`: that of `performance` unless a test has another. */
  constructor(clock: LoopClock = SYSTEM_CLOCK) {
    this.#clock = clock;
  }

  /** How many peers have lanes. */
  get size(): number {
    return this.#byPeer.size;
  }

  /** `peer`: `site/node`. */
  of(peer: string): ScheduledPeer {
    const known = this.#byPeer.get(peer);
    if (known !== undefined) return known;
    const turn = new ScheduledPeer(this, peer, this.#clock);
    this.#byPeer.set(peer, turn);
    return turn;
  }

  /** The last lane of a peer is gone. */
  forget(peer: string): void {
    this.#byPeer.delete(peer);
  }

  /** How many of them had work at that moment or later. */
  activeSince(ms: number): number {
    let active = 0;
    for (const { activeAtMs } of this.#byPeer.values()) if (activeAtMs >= ms) active++;
    return active;
  }

  /** Where all who had work since then yield to each other: the one with the least time left. */
  nextOfAll(ms: number): ScheduledPeer | undefined {
    let next: ScheduledPeer | undefined;
    for (const turn of this.#byPeer.values()) {
      if (turn.activeAtMs < ms) continue;
      if (!turn.yields) return undefined;
      if (next === undefined || turn.leftMs < next.leftMs) next = turn;
    }
    return next;
  }
}
