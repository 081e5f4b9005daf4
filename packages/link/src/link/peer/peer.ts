import { EventEmitter } from 'node:events';
import { type Identity, RoutyError } from '@routy/proto/base';
import type { DriverStats, PingSample, SessionEnd } from '../../driver/driver-types.ts';
import { endText } from '../../peers/end-text.ts';
import { abortReason, onAbort, untilAborted } from '../../transport/deadline.ts';
import { expectSignalOption, expectText, REASON_CHARS_MAX } from '../../arguments/arguments.ts';
import { LinkError } from '../../transport/link-error.ts';
import { endHint } from '../session/end-hints.ts';
import type { LinkSession, SessionKeeper, Vitals } from '../session/link-session.ts';
import type { LinkStream } from '../session/link-stream.ts';
import { openStream } from '../session/opening.ts';
import { expectRequest, type StreamRequest } from '../session/stream-request.ts';
import { tellListeners } from './listeners.ts';

/**
 * `connecting`: there is no session, and one is dialled. `suspended`: no lane carries the session, its
 * streams wait. `closed`: for good.
 */
export type PeerState = 'connecting' | 'up' | 'suspended' | 'closed';

/** What a peer tells, by name of the event. */
export interface PeerEvents {
  /** A session is established; its identity may be another than before. */
  up: [];
  /** No lane carries the session any more: its streams wait. */
  suspended: [reason: string];
  /** A lane carries it again; how long that took. */
  resumed: [suspendedMs: number];
  /** The session has ended, and its streams with it. A peer that is dialled is dialled again. */
  down: [reason: RoutyError];
  /** An attempt to dial has failed; the next follows by itself, in ms. */
  attempt: [failure: RoutyError, nextInMs: number];
  /** The last event. */
  closed: [];
}

/** Who keeps sessions, and knows whose they are. */
export interface PeerKeeper extends SessionKeeper {
  /** It has a session. */
  onPeerUp(peer: Peer): void;
  onPeerClosed(peer: Peer): void;
  /** A listener of the peer's has failed, which was told of that event. */
  onListenerThrew(error: unknown, event: string): void;
  belongs(session: LinkSession, peer: Peer): void;
  /** Asks for a stream to be opened by the other end. */
  askFor(
    session: LinkSession,
    request: StreamRequest,
    signal: AbortSignal | undefined,
  ): Promise<LinkStream>;
}

interface Waiter {
  resolve(session: LinkSession): void;
  reject(error: Error): void;
}

/**
 * A node at the other end: one that is dialled and kept, or one that has dialled. Either end may open
 * streams.
 */
export class Peer extends EventEmitter<PeerEvents> {
  /** `accepted`: it has dialled here, and is closed with its session. */
  readonly direction: 'dialled' | 'accepted';
  readonly #keeper: PeerKeeper;
  readonly #close: (reason: string) => void;
  readonly #waiting = new Set<Waiter>();
  readonly #over = new AbortController();
  readonly #followers = new Set<(...args: PeerEvents['attempt']) => void>();
  #session: LinkSession | undefined;
  #isClosed = false;
  #lastFailure: RoutyError | undefined;

  /** For the link. */
  constructor(
    direction: 'dialled' | 'accepted',
    keeper: PeerKeeper,
    close: (reason: string) => void,
  ) {
    super();
    this.direction = direction;
    this.#keeper = keeper;
    this.#close = close;
  }

  /** How it stands at the moment; the events tell of each change. */
  get state(): PeerState {
    if (this.#isClosed) return 'closed';
    if (this.#session === undefined) return 'connecting';
    return this.#session.driver.suspended ? 'suspended' : 'up';
  }

  /** Who it is; undefined while there is no session. */
  get identity(): Identity | undefined {
    return this.#session?.peer;
  }

  /** `site/node`; undefined while there is no session. */
  get name(): string | undefined {
    return this.#session?.name;
  }

  /**
   * Its transport has proven that it is who its name says (`tls` does); false: it says so, and whoever
   * can connect could. Undefined while there is no session.
   */
  get isProven(): boolean | undefined {
    return this.#session?.isProven;
  }

  /** `host:port` of the lane that came last. */
  get remoteAddress(): string | undefined {
    return this.#session?.lane?.remoteAddress;
  }

  /** For people: `TLSv1.3 TLS_AES_128_GCM_SHA256`, `none (tcp)`. */
  get security(): string | undefined {
    return this.#session?.lane?.security;
  }

  /** Optional parts of the session protocol that both ends can use. */
  get capabilities(): readonly string[] {
    return this.#session?.capabilities ?? [];
  }

  /** The peer has said that it takes no new streams. */
  get isDraining(): boolean {
    return this.#session?.isDraining ?? false;
  }

  /** Why the last attempt failed, or the last session ended; undefined while it is up. */
  get lastFailure(): RoutyError | undefined {
    return this.#lastFailure;
  }

  /** How it lives, by heartbeats alone; undefined while there is no session. */
  get vitals(): Vitals | undefined {
    return this.#session?.vitals();
  }

  /** Figures of its session; undefined while there is none. */
  get stats(): DriverStats | undefined {
    return this.#session?.stats;
  }

  /**
   * Resolves when there is a session, at once where there is one.
   *
   * @throws LinkError `peer-closed`, or what `signal` fired with
   */
  async ready(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<this> {
    expectSignalOption(options);
    await this.#whenUp(options.signal);
    return this;
  }

  /**
   * Opens a stream, as soon as there is a session. Resolves when the peer has agreed on a version.
   *
   * @throws StreamResetError with the peer's code (`unsupported-protocol`, `unsupported-version`,
   *   `overload`, …), LinkError `peer-closed`, `argument-invalid`, or what `signal` fired with
   */
  async open(
    request: StreamRequest,
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<LinkStream> {
    expectRequest('this stream cannot be opened', request);
    expectSignalOption(options);
    const session = this.#session ?? (await this.#whenUp(options.signal));
    return openStream(session, request, this.#keeper.statistics, options.signal);
  }

  /**
   * Asks the peer to open a stream towards this side, for a request: the peer's `reply` of the protocol
   * takes its end. So the one that has what is asked for decides when and at what pace it is sent, and
   * a node is served that nobody could dial.
   *
   * @throws as {@link open}; `unsupported-protocol` also where the peer has no `reply` for it
   */
  async request(
    request: StreamRequest,
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<LinkStream> {
    expectRequest('this stream cannot be asked for', request);
    expectSignalOption(options);
    const session = this.#session ?? (await this.#whenUp(options.signal));
    return this.#keeper.askFor(session, request, options.signal);
  }

  /**
   * A round trip now; waits for a lane when there is none.
   *
   * @throws LinkError `session-lost`, `peer-closed`, or what `signal` fired with
   */
  async ping(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<PingSample> {
    expectSignalOption(options);
    const { signal } = options;
    const session = await this.#whenUp(signal);
    const pinging = session.driver.ping();
    return signal === undefined ? pinging : untilAborted(pinging, signal, 'ping');
  }

  /** Ends its session and dials no more. Nothing happens when it is closed already. */
  close(reason = 'closed by its owner'): void {
    expectText('reason', reason, REASON_CHARS_MAX);
    if (!this.#isClosed) this.#close(reason);
  }

  // For the link.

  /** @internal */
  tellUp(session: LinkSession): void {
    this.#session = session;
    this.#lastFailure = undefined;
    for (const waiter of [...this.#waiting]) waiter.resolve(session);
    this.#keeper.onPeerUp(this);
    this.#tell('up');
  }

  /** @internal */
  tellDown(end: SessionEnd): void {
    this.#session = undefined;
    const hint = endHint(end);
    const failure = new RoutyError(end.code, endText(end), hint === undefined ? {} : { hint });
    this.#lastFailure = failure;
    this.#tell('down', failure);
  }

  /** @internal */
  tellAttempt(failure: RoutyError, nextInMs: number): void {
    this.#lastFailure = failure;
    for (const told of this.#followers) queueMicrotask(() => told(failure, nextInMs));
    this.#tell('attempt', failure, nextInMs);
  }

  /** @internal Tells of each attempt that fails, until what it gives is called. */
  followAttempts(told: (...args: PeerEvents['attempt']) => void): () => void {
    this.#followers.add(told);
    return () => this.#followers.delete(told);
  }

  /** @internal */
  tellSuspended(reason: string): void {
    this.#tell('suspended', reason);
  }

  /** @internal */
  tellResumed(suspendedMs: number): void {
    this.#tell('resumed', suspendedMs);
  }

  /** @internal */
  tellClosed(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const error = this.#closedError();
    for (const waiter of [...this.#waiting]) waiter.reject(error);
    this.#keeper.onPeerClosed(this);
    queueMicrotask(() => this.#over.abort(error));
    this.#tell('closed');
  }

  /** @internal Fires when it is closed; its events are for its users, who may take listeners away. */
  get over(): AbortSignal {
    return this.#over.signal;
  }

  /** @internal */
  get session(): LinkSession | undefined {
    return this.#session;
  }

  /** Not from within the session's round: what a listener throws is not the session's. */
  #tell<E extends keyof PeerEvents>(event: E, ...args: PeerEvents[E]): void {
    const failed = (error: unknown) => this.#keeper.onListenerThrew(error, event);
    queueMicrotask(() => tellListeners(this, event, args, failed));
  }

  #whenUp(signal: AbortSignal | undefined): Promise<LinkSession> {
    if (signal?.aborted) return Promise.reject(this.#inVain(signal));
    if (this.#session !== undefined) return Promise.resolve(this.#session);
    if (this.#isClosed) return Promise.reject(this.#closedError());
    return new Promise((resolve, reject) => {
      const stop = () => waiter.reject(this.#inVain(signal!));
      const settle = () => {
        signal?.removeEventListener('abort', stop);
        this.#waiting.delete(waiter);
      };
      const waiter: Waiter = {
        resolve: (session) => {
          settle();
          resolve(session);
        },
        reject: (error) => {
          settle();
          reject(error);
        },
      };
      this.#waiting.add(waiter);
      if (signal !== undefined) onAbort(signal, stop);
      if (signal?.aborted) stop();
    });
  }

  /** Whoever waited in vain wants to know why nobody came, and what to do about it. */
  #inVain(signal: AbortSignal): RoutyError {
    const failure = this.#lastFailure;
    const text = `waiting for the peer (last failure: ${failure?.message ?? 'none yet'})`;
    return abortReason(signal, text, failure?.hint);
  }

  #closedError(): LinkError {
    return new LinkError('peer-closed', 'the peer is closed', {
      cause: this.#lastFailure,
      hint:
        this.direction === 'dialled'
          ? 'link.dial makes another one'
          : "it is gone with its session: link.peer('site/node') waits for the next",
    });
  }
}
