import { performance } from 'node:perf_hooks';
import { type Identity, nodeName } from '@routy/proto/base';
import type {
  DriverHandlers,
  DriverStats,
  IncomingStream,
  LaneEnd,
  SessionDriverApi,
  SessionEnd,
} from '../../driver/driver-types.ts';
import { endText } from '../../peers/end-text.ts';
import { ClockDrift } from '../../stats/clock-drift.ts';
import type { Meter, Statistics } from '../../stats/statistics.ts';
import type { Lane } from '../../transport/lane.ts';

/** How a peer lives, by heartbeats alone; undefined is what is not known yet. */
export interface Vitals {
  /** Round trip of the heartbeat that came back last, in ms. */
  readonly rttMs: number | undefined;
  /** The peer's clock minus this one's, in ms. */
  readonly clockOffsetMs: number | undefined;
  /** How fast that grows, in parts per million: 1 is 3.6 ms an hour. */
  readonly clockDriftPpm: number | undefined;
  /** A heartbeat of the peer is missing on every lane. */
  readonly silent: boolean;
  /** Since bytes of the peer came last, in ms. */
  readonly lastHeardMs: number | undefined;
  /** Lanes that carry the session. */
  readonly lanes: number;
}

/** What the two sides of a session do differently. */
export interface SessionFollower {
  onUp(session: LinkSession): void;
  onLaneUp(laneId: number): void;
  onLaneClosed(end: LaneEnd): void;
  onSuspended(reason: string): void;
  onResumed(suspendedMs: number): void;
  /** Last. */
  onDown(end: SessionEnd): void;
}

/** Who takes the streams that peers ask for, and counts. */
export interface SessionKeeper {
  readonly statistics: Statistics;
  onStream(stream: IncomingStream, session: LinkSession): void;
  began(session: LinkSession): void;
  ended(session: LinkSession): void;
}

/** One session of a link: what its driver tells, passed on to whom it concerns. */
export class LinkSession implements DriverHandlers {
  readonly peer: Identity;
  /** `site/node`. */
  readonly name: string;
  /** It has shown a certificate; otherwise it is only believed. */
  readonly isProven: boolean;
  /** Optional parts of the session protocol that both ends can use. */
  capabilities: readonly string[] = [];
  readonly #keeper: SessionKeeper;
  readonly #follower: SessionFollower;
  readonly #drift = new ClockDrift();
  #driver: SessionDriverApi | undefined;
  #meter: Meter | undefined;
  #lastLane: Lane | undefined;
  #lastOffsetMs: number | undefined;
  #lossText = '';
  #isDraining = false;

  constructor(peer: Identity, isProven: boolean, keeper: SessionKeeper, follower: SessionFollower) {
    this.peer = peer;
    this.isProven = isProven;
    this.name = nodeName(peer);
    this.#keeper = keeper;
    this.#follower = follower;
  }

  /** What makes the driver needs the handlers first. */
  drivenBy(driver: SessionDriverApi): SessionDriverApi {
    this.#driver = driver;
    return driver;
  }

  get driver(): SessionDriverApi {
    return this.#driver!;
  }

  /** The lane that came last. */
  get lane(): Lane | undefined {
    return this.#lastLane;
  }

  /** Counts what all its streams carry. */
  get meter(): Meter {
    return this.#meter!;
  }

  /** The peer takes no new streams. */
  get isDraining(): boolean {
    return this.#isDraining;
  }

  get stats(): DriverStats {
    return this.driver.stats();
  }

  vitals(): Vitals {
    const { rttMs, clockOffsetMs } = this.stats;
    const lanes = this.driver.lanes();
    return {
      rttMs,
      clockOffsetMs,
      clockDriftPpm: this.#drift.ppm,
      silent: lanes.length > 0 && lanes.every(({ silent }) => silent),
      lastHeardMs: lanes.length === 0 ? undefined : Math.min(...lanes.map((l) => l.unheardMs)),
      lanes: lanes.length,
    };
  }

  /** At the pace of heartbeats: takes note of what they have measured. */
  beat(nowMs: number): void {
    const { rttMs, clockOffsetMs } = this.stats;
    if (rttMs !== undefined) this.#meter?.rtt(rttMs);
    if (clockOffsetMs === undefined || clockOffsetMs === this.#lastOffsetMs) return;
    this.#lastOffsetMs = clockOffsetMs;
    this.#drift.add(nowMs, clockOffsetMs);
  }

  onEstablished(lane: Lane, capabilities: readonly string[]): void {
    this.#lastLane = lane;
    this.capabilities = capabilities;
    const { statistics } = this.#keeper;
    this.#meter = statistics.begin(performance.now(), 'session', 'session', this.name);
    this.#keeper.began(this);
    this.#follower.onUp(this);
  }

  onLaneUp(laneId: number, lane: Lane): void {
    this.#lastLane = lane;
    this.#follower.onLaneUp(laneId);
  }

  onLaneClosed(end: LaneEnd): void {
    if (end.wasUp) this.#lossText = endText(end);
    this.#follower.onLaneClosed(end);
  }

  onSuspended(): void {
    this.#follower.onSuspended(`the last lane was lost: ${this.#lossText}`);
  }

  onResumed(suspendedMs: number): void {
    this.#meter!.retried();
    this.#follower.onResumed(suspendedMs);
  }

  /** Links ask for protocols and not for services of a list. */
  onOffers(): void {}

  onStream(stream: IncomingStream): void {
    this.#keeper.onStream(stream, this);
  }

  /** The streams that it was about are reset, and say so. */
  onMismatch(): void {}

  onOverload(streams: number): void {
    this.#meter!.dropped(streams);
  }

  onDraining(): void {
    this.#isDraining = true;
  }

  onClosed(end: SessionEnd): void {
    this.#meter?.end();
    if (this.#meter !== undefined) this.#keeper.ended(this);
    this.#follower.onDown(end);
  }
}
