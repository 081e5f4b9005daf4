import type { Socket } from 'node:net';
import { performance } from 'node:perf_hooks';
import { RoutyError } from '../base/errors.ts';
import type { Identity } from '../base/identity.ts';
import type { FabricSettings, LimitsConfig } from '../config/types.ts';
import { sharedSettings } from '../fabric/settings.ts';
import { Budget } from '../session/budget.ts';
import type { SessionEvent } from '../session/events.ts';
import type { BudgetPools } from '../session/options.ts';
import { Session } from '../session/session.ts';
import type { Lane } from '../transport/lane.ts';
import type { LaneCode } from '../wire/codes.ts';
import type { Hello } from '../wire/payload.ts';
import type {
  DriverHandlers,
  DriverStats,
  OpenHandlers,
  OpenRequest,
  PeerHello,
  PingSample,
  SessionDriverApi,
  SessionEnd,
} from './driver-types.ts';
import { StreamSet } from './stream-set.ts';

/** Bytes asked of the session at a time. */
const TRANSMIT_BYTES = 128 * 1024;

/** Received bytes after which they are passed on without waiting for the rest of the round. */
const DISPATCH_BYTES = 256 * 1024;

/** How long a closing lane may take to send its last frames. */
const CLOSE_TIMEOUT_MS = 2_000;

/** Lane chunks up to this size end what the peer sent in one go. */
const PROMPT_BYTES_MAX = 8 * 1024;

/** Messages closer together than this are gathered. */
const PROMPT_INTERVAL_MS = 0.03;

const HANDSHAKE_TIMEOUT_MS = 10_000;

export interface DriverOptions {
  readonly role: 'dialler' | 'acceptor';
  readonly self: Identity;
  /** 32 hex digits, random per process start. */
  readonly instance: string;
  /** Dialler only: 32 hex digits, random; an acceptor learns the dialler's. */
  readonly sessionId: string;
  /** Dialler only: 1 for a session's first lane, rising by one. */
  readonly epoch: number;
  readonly settings: FabricSettings;
  readonly limits: LimitsConfig;
  /** For people: `routy/0.1.0`. */
  readonly software: string;
  readonly pools: BudgetPools;
}

/** The budgets that all sessions of a process share. */
export function createPools(limits: LimitsConfig): BudgetPools {
  return {
    send: new Budget(limits.processBuffer / 2),
    receive: new Budget(limits.processBuffer / 2),
  };
}

/** Starts a session on a fresh lane. */
export function startSession(
  lane: Lane,
  options: DriverOptions,
  handlers: DriverHandlers,
): SessionDriverApi {
  return new SessionDriver(lane, options, handlers);
}

interface Pinging {
  resolve(sample: PingSample): void;
  reject(error: RoutyError): void;
}

/**
 * Owns the order of things for one session: bytes of the lane and of the sockets go into the
 * protocol core; once a round of the event loop its events, its bytes and its timer come out.
 */
class SessionDriver implements SessionDriverApi {
  readonly peer: Identity;
  readonly #lane: Lane;
  readonly #handlers: DriverHandlers;
  readonly #session: Session;
  readonly #streams: StreamSet;
  readonly #pings = new Map<number, Pinging>();
  readonly #onScheduled = () => this.#scheduledRound();
  readonly #onTimer = () => this.#timeout();
  #sessionId: string;
  #epoch: number;
  #roundDue = false;
  #inRound = false;
  #undispatched = 0;
  #promptAtMs = 0;
  #laneFull = false;
  #laneGone = false;
  #laneError: RoutyError | undefined;
  #ended = false;
  #timer: NodeJS.Timeout | undefined;
  #timerAtMs = Infinity;

  constructor(lane: Lane, options: DriverOptions, handlers: DriverHandlers) {
    this.peer = lane.peer;
    this.#lane = lane;
    this.#handlers = handlers;
    this.#sessionId = options.sessionId;
    this.#epoch = options.epoch;
    this.#session = new Session(
      {
        role: options.role,
        self: options.self,
        peer: lane.peer,
        software: options.software,
        instance: options.instance,
        sessionId: options.sessionId,
        epoch: options.epoch,
        settings: sharedSettings(options.settings),
        heartbeatIntervalMs: options.settings.heartbeatIntervalMs,
        heartbeatMisses: options.settings.heartbeatMisses,
        handshakeTimeoutMs: HANDSHAKE_TIMEOUT_MS,
        streamWindow: options.limits.streamWindow,
        sessionBuffer: options.limits.sessionBuffer,
        streams: options.limits.streams,
        pools: options.pools,
        pauseWriters: () => this.#streams.pauseAll(),
      },
      performance.now(),
      wallOffsetMs(),
    );
    this.#streams = new StreamSet(this.#session, {
      onStream: (stream) => handlers.onStream(stream),
      schedule: () => this.#schedule(),
      promptly: (nowMs) => this.#promptly(nowMs),
    });
    lane.bind({
      onData: (chunk) => this.#laneData(chunk),
      onDrain: () => this.#laneDrained(),
      onClose: (error) => this.#laneClosed(error),
    });
    this.#schedule();
  }

  get sessionId(): string {
    return this.#sessionId;
  }

  get epoch(): number {
    return this.#epoch;
  }

  get established(): boolean {
    return this.#session.established;
  }

  open(request: OpenRequest, socket: Socket, handlers: OpenHandlers): void {
    this.#streams.open(request, socket, handlers);
  }

  offer(services: readonly string[]): void {
    this.#session.offer(services);
    this.#schedule();
  }

  ping(): Promise<PingSample> {
    if (!this.#session.established) return Promise.reject(notEstablished());
    const sequence = this.#session.ping(performance.now());
    this.#schedule();
    return new Promise((resolve, reject) => {
      this.#pings.set(sequence, { resolve, reject });
    });
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
      bytesSent: session.totals.bytesSent,
      bytesReceived: session.totals.bytesReceived,
      bufferedBytes: session.bufferedBytes,
    };
  }

  #laneData(chunk: Uint8Array): void {
    const nowMs = performance.now();
    this.#session.handleBytes(nowMs, chunk);
    this.#undispatched += chunk.length;
    if (this.#undispatched >= DISPATCH_BYTES) this.#round();
    else if (chunk.length <= PROMPT_BYTES_MAX) this.#promptly(nowMs);
    else this.#schedule();
  }

  #laneDrained(): void {
    this.#laneFull = false;
    this.#schedule();
  }

  #laneClosed(error: RoutyError | undefined): void {
    this.#laneGone = true;
    this.#laneError = error;
    const reason = error === undefined ? 'the peer ended the lane' : error.message;
    this.#session.handleLaneClosed(performance.now(), reason);
    this.#round();
  }

  #timeout(): void {
    this.#timer = undefined;
    this.#timerAtMs = Infinity;
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
    this.#round();
  }

  #round(): void {
    // A handler that closes the session, say: the round it is called in does the rest.
    if (this.#inRound) return;
    this.#inRound = true;
    this.#undispatched = 0;
    this.#dispatchAll();
    this.#transmit();
    this.#armTimer();
    this.#inRound = false;
  }

  #dispatchAll(): void {
    for (;;) {
      const event = this.#session.pollEvent();
      if (event === undefined) {
        if (!this.#streams.flush()) return;
      } else if (!this.#streams.dispatch(event)) {
        this.#dispatch(event);
      }
    }
  }

  #transmit(): void {
    while (!this.#laneFull && !this.#laneGone) {
      const buffers = this.#session.pollTransmit(TRANSMIT_BYTES);
      if (buffers === undefined) return;
      this.#laneFull = !this.#lane.write(buffers);
    }
  }

  #armTimer(): void {
    const atMs = this.#session.pollTimeout() ?? Infinity;
    // An earlier timer stays: when it fires, it finds nothing to do and is set anew.
    if (atMs >= this.#timerAtMs) return;
    clearTimeout(this.#timer);
    this.#timerAtMs = atMs;
    this.#timer = setTimeout(this.#onTimer, Math.max(0, Math.ceil(atMs - performance.now())));
  }

  #dispatch(event: SessionEvent): void {
    switch (event.kind) {
      case 'hello':
        this.#admit(event.hello);
        break;
      case 'established':
        this.#handlers.onEstablished(this.#peerHello(event.hello));
        break;
      case 'offers':
        this.#handlers.onOffers(event.services);
        break;
      case 'draining':
        this.#handlers.onDraining();
        break;
      case 'pong':
        this.#pings.get(event.sequence)?.resolve(event);
        this.#pings.delete(event.sequence);
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

  #admit(hello: Hello): void {
    this.#sessionId = hello.session.id;
    this.#epoch = hello.session.epoch;
    const admission = this.#handlers.admit(this.#peerHello(hello));
    if (admission.ok) this.#session.admit(performance.now());
    else this.#session.close(performance.now(), admission.code, admission.reason);
  }

  #peerHello(hello: Hello): PeerHello {
    return {
      identity: this.peer,
      instance: hello.instance,
      sessionId: hello.session.id,
      epoch: hello.session.epoch,
    };
  }

  #closed(end: SessionEnd): void {
    for (const pinging of this.#pings.values()) pinging.reject(sessionEnded(end));
    this.#pings.clear();
    this.#endLane(end);
    this.#ended = true;
    clearTimeout(this.#timer);
    this.#timerAtMs = Number.NEGATIVE_INFINITY;
    this.#handlers.onClosed(end);
  }

  /** Sends the last frames when the lane can still carry them, and in any case ends it. */
  #endLane(end: SessionEnd): void {
    if (this.#laneGone) return;
    if (end.code === 'heartbeat-timeout') {
      this.#laneGone = true;
      this.#lane.destroy();
      return;
    }
    this.#laneFull = false;
    this.#transmit();
    this.#lane.end();
    const deadline = setTimeout(() => this.#lane.destroy(), CLOSE_TIMEOUT_MS);
    deadline.unref();
  }
}

function wallOffsetMs(): number {
  return Date.now() - performance.now();
}

function notEstablished(): RoutyError {
  return new RoutyError('session-lost', 'the session is not established');
}

function sessionEnded(end: SessionEnd): RoutyError {
  return new RoutyError('session-lost', `the session ended: ${end.code}: ${end.reason}`);
}
