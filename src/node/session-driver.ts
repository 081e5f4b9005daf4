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
import type { LaneCode, StreamCode } from '../wire/codes.ts';
import type { Hello, OpenPayload } from '../wire/payload.ts';
import type {
  DriverHandlers,
  DriverStats,
  IncomingStream,
  OpenHandlers,
  OpenRequest,
  PeerHello,
  PingSample,
  SessionDriverApi,
  SessionEnd,
  StreamEndHandler,
} from './driver-types.ts';
import { type EndpointHost, StreamEndpoint } from './stream-endpoint.ts';

/** Bytes asked of the session at a time. */
const TRANSMIT_BYTES = 128 * 1024;

/** Received bytes after which they are passed on without waiting for the rest of the round. */
const DISPATCH_BYTES = 256 * 1024;

/** How long a closing lane may take to send its last frames. */
const CLOSE_TIMEOUT_MS = 2_000;

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

interface Opening {
  readonly handlers: OpenHandlers;
  readonly socket: Socket;
}

interface Pinging {
  resolve(sample: PingSample): void;
  reject(error: RoutyError): void;
}

/**
 * Owns the order of things for one session: bytes of the lane and of the sockets go into the
 * protocol core; once a round of the event loop its events, its bytes and its timer come out.
 */
class SessionDriver implements SessionDriverApi, EndpointHost {
  readonly peer: Identity;
  readonly #lane: Lane;
  readonly #handlers: DriverHandlers;
  readonly #session: Session;
  readonly #endpoints = new Map<number, StreamEndpoint>();
  readonly #openings = new Map<number, Opening>();
  readonly #incoming = new Map<number, PendingStream>();
  readonly #pings = new Map<number, Pinging>();
  readonly #onRound = () => this.#round();
  readonly #onTimer = () => this.#timeout();
  #sessionId: string;
  #epoch: number;
  #corked: StreamEndpoint[] = [];
  #roundDue = false;
  #undispatched = 0;
  #laneFull = false;
  #laneGone = false;
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
      },
      performance.now(),
      wallOffsetMs(),
    );
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
    const result = this.#session.open(performance.now(), openPayload(request));
    this.#schedule();
    if (!result.ok) {
      this.#refusedAtOnce(socket, handlers, result.code, result.reason);
      return;
    }
    const endpoint = new StreamEndpoint(result.stream, this);
    this.#endpoints.set(result.stream, endpoint);
    this.#openings.set(result.stream, { handlers, socket });
    // Reading starts before the answer: the first bytes travel with OPEN.
    endpoint.attach(socket, (end) => handlers.onEnd(end));
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

  write(stream: number, chunk: Uint8Array): boolean {
    this.#schedule();
    return this.#session.write(performance.now(), stream, chunk);
  }

  end(stream: number): void {
    this.#session.end(stream);
    this.#schedule();
  }

  reset(stream: number, code: StreamCode, reason: string): void {
    this.#forget(stream);
    this.#session.reset(stream, code, reason);
    this.#schedule();
  }

  delivered(stream: number, bytes: number): void {
    this.#session.delivered(performance.now(), stream, bytes);
    this.#schedule();
  }

  finDelivered(stream: number): void {
    this.#session.finDelivered(performance.now(), stream);
    this.#schedule();
  }

  corked(endpoint: StreamEndpoint): void {
    this.#corked.push(endpoint);
  }

  /** The answer to an incoming stream: its bytes go to and come from `socket`. */
  acceptStream(stream: number, socket: Socket, onEnd: StreamEndHandler): void {
    this.#incoming.delete(stream);
    this.#session.accept(performance.now(), stream);
    this.#endpoints.get(stream)!.attach(socket, onEnd);
    this.#schedule();
  }

  refuseStream(stream: number, code: StreamCode, reason: string): void {
    this.reset(stream, code, reason);
  }

  #laneData(chunk: Uint8Array): void {
    this.#session.handleBytes(performance.now(), chunk);
    this.#undispatched += chunk.length;
    if (this.#undispatched >= DISPATCH_BYTES) this.#round();
    else this.#schedule();
  }

  #laneDrained(): void {
    this.#laneFull = false;
    this.#schedule();
  }

  #laneClosed(error: RoutyError | undefined): void {
    this.#laneGone = true;
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

  /** Everything the event loop brings in one round is answered together, right after it. */
  #schedule(): void {
    if (this.#roundDue || this.#ended) return;
    this.#roundDue = true;
    setImmediate(this.#onRound);
  }

  #round(): void {
    this.#roundDue = false;
    this.#undispatched = 0;
    this.#dispatchAll();
    this.#transmit();
    this.#armTimer();
  }

  #dispatchAll(): void {
    for (;;) {
      const event = this.#session.pollEvent();
      if (event !== undefined) {
        this.#dispatch(event);
      } else if (this.#corked.length > 0) {
        const corked = this.#corked;
        this.#corked = [];
        for (const endpoint of corked) endpoint.flush();
      } else {
        return;
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
      case 'data':
        this.#endpoints.get(event.stream)?.data(event.bytes);
        break;
      case 'fin':
        this.#endpoints.get(event.stream)?.fin();
        break;
      case 'writable':
        this.#endpoints.get(event.stream)?.writable();
        break;
      case 'opened':
        this.#streamOpened(event.stream, event.request);
        break;
      case 'accepted':
        this.#streamAccepted(event.stream);
        break;
      case 'finished':
        this.#take(event.stream)?.finished();
        break;
      case 'reset':
        this.#streamReset(event.stream, event.code, event.reason);
        break;
      default:
        this.#dispatchSession(event);
    }
  }

  #dispatchSession(event: SessionEvent): void {
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
        this.#closed({ code: event.code, reason: event.reason, remote: event.remote });
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

  #streamOpened(stream: number, payload: OpenPayload): void {
    this.#endpoints.set(stream, new StreamEndpoint(stream, this));
    const pending = new PendingStream(this, stream, openRequest(payload));
    this.#incoming.set(stream, pending);
    this.#handlers.onStream(pending);
  }

  #streamAccepted(stream: number): void {
    const opening = this.#openings.get(stream);
    this.#openings.delete(stream);
    opening?.handlers.onAccepted();
  }

  #streamReset(stream: number, code: StreamCode, reason: string): void {
    const opening = this.#openings.get(stream);
    const pending = this.#incoming.get(stream);
    const endpoint = this.#take(stream);
    pending?.cancel();
    if (opening !== undefined && endpoint?.untouched && opening.handlers.onRefused !== undefined) {
      endpoint.detach();
      this.#refusedAtOnce(opening.socket, opening.handlers, code, reason);
      return;
    }
    endpoint?.reset(code, reason);
  }

  #refusedAtOnce(socket: Socket, handlers: OpenHandlers, code: StreamCode, reason: string): void {
    if (handlers.onRefused?.(code, reason)) return;
    const endpoint = new StreamEndpoint(0, this);
    endpoint.attach(socket, (end) => handlers.onEnd(end));
    endpoint.reset(code, reason);
  }

  #take(stream: number): StreamEndpoint | undefined {
    const endpoint = this.#endpoints.get(stream);
    this.#forget(stream);
    return endpoint;
  }

  #forget(stream: number): void {
    this.#endpoints.delete(stream);
    this.#openings.delete(stream);
    this.#incoming.delete(stream);
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

/** A stream of the peer that waits for this node's answer. */
class PendingStream implements IncomingStream {
  readonly request: OpenRequest;
  onCancel: (() => void) | undefined;
  readonly #driver: SessionDriver;
  readonly #stream: number;
  #answered = false;

  constructor(driver: SessionDriver, stream: number, request: OpenRequest) {
    this.#driver = driver;
    this.#stream = stream;
    this.request = request;
  }

  accept(socket: Socket, onEnd: StreamEndHandler): void {
    if (this.#answered) return;
    this.#answered = true;
    this.#driver.acceptStream(this.#stream, socket, onEnd);
  }

  refuse(code: StreamCode, reason: string): void {
    if (this.#answered) return;
    this.#answered = true;
    this.#driver.refuseStream(this.#stream, code, reason);
  }

  cancel(): void {
    if (this.#answered) return;
    this.#answered = true;
    this.onCancel?.();
  }
}

function openPayload(request: OpenRequest): OpenPayload {
  return {
    protocol: request.protocol,
    versions: [1],
    capabilities: [],
    service: request.service,
    ...(request.source && { source: request.source }),
    ...(request.destination && { destination: request.destination }),
  };
}

function openRequest(payload: OpenPayload): OpenRequest {
  return {
    protocol: payload.protocol,
    service: payload.service,
    source: payload.source,
    destination: payload.destination,
  };
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
