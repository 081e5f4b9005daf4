import { performance } from 'node:perf_hooks';
import type { Identity, RoutyError } from '@routy/proto/base';
import { type Refusal, Session, type SessionEvent } from '@routy/proto/session';
import type { Hello, LaneCode } from '@routy/proto/wire';
import type { ByteReceiver } from '../streams/byte-stream.ts';
import { LinkError } from '../transport/link-error.ts';
import { Backlog } from './backlog.ts';
import { type Dispatched, dispatchSlice } from './dispatch-slice.ts';
import type {
  DriverHandlers,
  DriverMemory,
  DriverStats,
  LiveLane,
  OpenHandlers,
  OpenRequest,
  PingSample,
  SessionDriverApi,
  SessionEnd,
} from './driver-types.ts';
import type { LaneLink, LaneReceiver } from './lanes/lane-link.ts';
import { proveOn } from './lanes/lane-proof.ts';
import { LaneTurns } from './lanes/lane-turns.ts';
import { Pings } from './pings.ts';
import { type DriverOptions, sessionOptions, wallOffsetMs } from './session-options.ts';
import { SessionTimer } from './session-timer.ts';
import { StreamEndpoints } from './stream-endpoints.ts';

/** Received bytes after which they are passed on without waiting for the rest of the round. */
const DISPATCH_BYTES = 256 * 1024;

/** Lane chunks up to this size end what the peer sent in one go. */
const PROMPT_BYTES_MAX = 8 * 1024;

/** Messages closer together than this are gathered. */
const PROMPT_INTERVAL_MS = 0.03;

/** Lanes are not read for this part of an interval at most because of events that are left. */
const HOLD_INTERVALS = 0.25;

/** A heartbeat comes every interval: after one and a half one is missing. */
const SILENT_INTERVALS = 1.5;

/** A session without a lane; `dial` or `attach` gives it the first. */
export function startSession(options: DriverOptions, handlers: DriverHandlers): SessionDriverApi {
  return new SessionDriver(options, handlers);
}

/**
 * Owns the order of things for one session: bytes of its lanes and of its streams go into the
 * protocol core; once a round of the event loop its events, its bytes and its timer come out.
 */
class SessionDriver implements SessionDriverApi, LaneReceiver {
  readonly peer: Identity;
  readonly sessionId: string;
  readonly #handlers: DriverHandlers;
  readonly #silentMs: number;
  readonly #session: Session;
  readonly #streams: StreamEndpoints;
  readonly #pings: Pings;
  readonly #timer: SessionTimer;
  readonly #onScheduled = () => this.#scheduledRound();
  readonly #dispatchOne = () => this.#dispatchNext();
  readonly #isClosed = () => this.#session.closed;
  /** In the order they came, until the session has given them up. */
  readonly #links: LaneLink[] = [];
  readonly #backlog: Backlog;
  readonly #turns = new LaneTurns();
  #lastLaneId = 0;
  #roundDue = false;
  #inRound = false;
  #undispatched = 0;
  #promptAtMs = 0;
  #refusedTold = 0;
  /** What the transport said of the lane that went last. */
  #laneError: RoutyError | undefined;
  #ended = false;

  constructor(options: DriverOptions, handlers: DriverHandlers) {
    this.peer = options.peer;
    this.sessionId = options.sessionId;
    this.#handlers = handlers;
    const { heartbeatIntervalMs } = options.commons.times;
    this.#silentMs = SILENT_INTERVALS * heartbeatIntervalMs;
    this.#backlog = new Backlog(this.#links, HOLD_INTERVALS * heartbeatIntervalMs);
    this.#session = new Session(
      sessionOptions(options, () => this.#streams.pauseAll()),
      performance.now(),
      wallOffsetMs(),
    );
    this.#streams = new StreamEndpoints(options.peer, this.#session, {
      onStream: (stream) => handlers.onStream(stream),
      onMismatch: (stream, reason) => handlers.onMismatch(stream, reason),
      schedule: () => this.#schedule(),
      promptly: (nowMs) => this.#promptly(nowMs),
      unheardMs: () => Math.min(...this.lanes().map(({ unheardMs }) => unheardMs)),
    });
    this.#pings = new Pings(() => this.#session.ping(performance.now()));
    this.#timer = new SessionTimer(() => this.#timeout());
  }

  get lastLaneId(): number {
    return this.#lastLaneId;
  }

  get established(): boolean {
    return this.#session.established;
  }

  get suspended(): boolean {
    return this.#session.suspended;
  }

  dial(link: LaneLink): number {
    const laneId = this.#session.dial(performance.now(), proveOn(link.lane, this.sessionId));
    this.#join(link, laneId);
    return laneId;
  }

  get silent(): boolean {
    return this.lanes().every(({ silent }) => silent);
  }

  judge(link: LaneLink, hello: Hello): Refusal | undefined {
    return this.#session.judge(hello, proveOn(link.lane, this.sessionId));
  }

  attach(link: LaneLink, hello: Hello): void {
    const prove = proveOn(link.lane, this.sessionId);
    this.#join(link, this.#session.admit(performance.now(), hello, prove));
  }

  closeLane(laneId: number, reason: string): void {
    this.#session.closeLane(performance.now(), laneId, reason);
    this.#round();
  }

  open(request: OpenRequest, receiver: ByteReceiver, handlers: OpenHandlers): void {
    this.#streams.open(request, receiver, handlers);
  }

  withdraw(elsewhere: (service: string) => boolean): void {
    if (this.suspended) this.#streams.withdraw(elsewhere);
  }

  offer(services: readonly string[]): number {
    const leftOut = this.#session.offer(services);
    this.#schedule();
    return leftOut;
  }

  ping(): Promise<PingSample> {
    if (!this.#session.established) {
      return Promise.reject(new LinkError('session-lost', 'the session is not established'));
    }
    const answer = this.#pings.ping();
    this.#schedule();
    return answer;
  }

  drain(): void {
    this.#session.drain();
    this.#schedule();
  }

  close(code: LaneCode, reason: string): void {
    this.#session.close(performance.now(), code, reason);
    this.#round();
  }

  stats(): DriverStats {
    const session = this.#session;
    return {
      rttMs: session.rttMs,
      clockOffsetMs: session.clockOffsetMs,
      streams: session.streamCount,
      streamsOpened: session.totals.opened,
      streamsRefused: session.totals.refused,
      ...session.share,
      bytesSent: session.totals.bytesSent,
      bytesReceived: session.totals.bytesReceived,
      bytesReplayed: session.totals.bytesReplayed,
      bufferedBytes: session.bufferedBytes,
    };
  }

  memory(): DriverMemory {
    return this.#session.memory();
  }

  lanes(): LiveLane[] {
    const nowMs = performance.now();
    return this.#session
      .lanes()
      .filter(({ established }) => established)
      .map(({ lane: laneId, rttMs, heardAtMs, streams, bytesSent }) => {
        const unheardMs = Math.max(0, nowMs - heardAtMs);
        const silent = unheardMs > this.#silentMs;
        const { lane } = this.#link(laneId);
        return { laneId, lane, rttMs, unheardMs, silent, streams, bytesSent };
      });
  }

  laneData(link: LaneLink, chunk: Uint8Array, isLent: boolean): void {
    const nowMs = performance.now();
    const absorb = isLent ? this.#streams.absorb : undefined;
    this.#session.handleBytes(nowMs, link.laneId, chunk, absorb);
    this.#undispatched += chunk.length;
    // A session that is closed is told at once: a lane that joined it meanwhile would be nobody's.
    if (this.#undispatched >= DISPATCH_BYTES || this.#session.closed) this.#round();
    else if (chunk.length <= PROMPT_BYTES_MAX) this.#promptly(nowMs);
    else this.#schedule();
  }

  laneDrained(): void {
    this.#schedule();
  }

  laneResumed(): void {
    if (this.#backlog.postponed || this.#backlog.holds) this.#schedule();
  }

  laneClosed(link: LaneLink): void {
    this.#session.handleLaneClosed(performance.now(), link.laneId, link.endReason);
    this.#round();
  }

  #join(link: LaneLink, laneId: number): void {
    link.laneId = laneId;
    link.receiver = this;
    this.#links.push(link);
    this.#lastLaneId = Math.max(this.#lastLaneId, laneId);
    this.#schedule();
  }

  #timeout(): void {
    this.#session.wallOffsetMs = wallOffsetMs();
    this.#session.handleTimeout(performance.now());
    this.#round();
  }

  /** What the event loop brings in one round is answered together, right after it. */
  #schedule(): void {
    if (this.#roundDue || this.#inRound || this.#ended) return;
    this.#roundDue = true;
    setImmediate(this.#onScheduled);
  }

  /** Answers at once unless it just did: a lone message must not wait, many are worth gathering. */
  #promptly(nowMs: number): void {
    if (nowMs - this.#promptAtMs < PROMPT_INTERVAL_MS) {
      this.#schedule();
    } else {
      this.#promptAtMs = nowMs;
      this.#round();
    }
  }

  #scheduledRound(): void {
    this.#roundDue = false;
    this.#backlog.postponed = this.#yields();
    if (this.#backlog.postponed) return;
    const sinceMs = this.#isFree() ? undefined : performance.now();
    this.#round();
    if (sinceMs !== undefined) this.#links[0]?.spent(sinceMs);
  }

  #round(): void {
    // A handler that closes the session, say: the round it is called in does the rest.
    if (this.#inRound) return;
    this.#inRound = true;
    try {
      this.#undispatched = 0;
      this.#backlog.postponed = this.#yields();
      if (!this.#backlog.postponed) this.#backlog.hold(!this.#dispatchAll());
      this.#tellRefused();
      this.#turns.transmit(this.#links, this.#session);
      if (!this.#ended) this.#timer.set(this.#session.pollTimeout());
    } finally {
      // A defect ends the process, and the last round tells the peer.
      this.#inRound = false;
    }
    // A broken invariant may have ended the session while it was asked for bytes.
    const untold = this.#session.closed && !this.#ended;
    if (untold || (this.#backlog.holds && !this.#backlog.postponed)) this.#schedule();
  }

  /** A session that is closed is told at once. */
  #yields(): boolean {
    return !this.#isFree() && !this.#session.closed && this.#backlog.yields;
  }

  /** Streams are refused inside the session: their number of this round is told in one go. */
  #tellRefused(): void {
    const { refused, refusedReason } = this.#session.totals;
    if (refused === this.#refusedTold) return;
    const streams = refused - this.#refusedTold;
    this.#refusedTold = refused;
    this.#handlers.onOverload(streams, refusedReason);
  }

  /** Nobody is held up, however long it takes. */
  #isFree(): boolean {
    return this.#links[0]?.isFree ?? true;
  }

  /** False: some are left for a later round, so that one round does not take too long. */
  #dispatchAll(): boolean {
    const link = this.#links[0];
    if (link?.isFree === false) return dispatchSlice(link, this.#dispatchOne, this.#isClosed);
    while (this.#dispatchNext() !== 'nothing');
    return true;
  }

  #dispatchNext(): Dispatched {
    const event = this.#session.pollEvent();
    if (event === undefined) return this.#streams.flush() ? 'flushed' : 'nothing';
    if (!this.#streams.dispatch(event)) this.#dispatch(event);
    return event.kind;
  }

  #dispatch(event: SessionEvent): void {
    switch (event.kind) {
      case 'established':
        this.#handlers.onEstablished(this.#links[0]!.lane, event.capabilities);
        break;
      case 'lane-up':
        this.#laneUp(event.lane);
        break;
      case 'lane-closed':
        this.#laneGone(event);
        break;
      case 'suspended':
        this.#streams.suspend();
        this.#handlers.onSuspended();
        break;
      case 'resumed':
        this.#pings.repeat();
        this.#streams.resume();
        this.#handlers.onResumed(event.suspendedMs);
        break;
      case 'offers':
        this.#handlers.onOffers(event.services);
        break;
      case 'draining':
        this.#handlers.onDraining();
        break;
      case 'pong':
        this.#pings.answered(event.sequence, event);
        break;
      case 'closed':
        this.#closed({
          code: event.code,
          reason: event.reason,
          remote: event.remote,
          laneError: this.#laneError,
        });
        break;
    }
  }

  #laneUp(laneId: number): void {
    const link = this.#link(laneId);
    link.up = true;
    this.#handlers.onLaneUp(laneId, link.lane);
  }

  #laneGone(event: Extract<SessionEvent, { kind: 'lane-closed' }>): void {
    const link = this.#link(event.lane);
    this.#links.splice(this.#links.indexOf(link), 1);
    this.#laneError = link.error;
    if (event.abort) link.abort();
    else link.end(event.last);
    this.#pings.repeat();
    this.#handlers.onLaneClosed({
      laneId: event.lane,
      code: event.code,
      reason: event.reason,
      remote: event.remote,
      laneError: link.error,
      wasUp: link.up,
      lanesLeft: this.#session.laneCount,
      withSession: this.#session.closed,
    });
  }

  #link(laneId: number): LaneLink {
    return this.#links.find((link) => link.laneId === laneId)!;
  }

  #closed(end: SessionEnd): void {
    this.#pings.fail(new LinkError('session-lost', `session ended: ${end.code}: ${end.reason}`));
    this.#ended = true;
    this.#timer.stop();
    this.#handlers.onClosed(end);
  }
}
