import type { OpenHandlers, OpenRequest, StreamCode } from '@routy/link/driver';
import type { ByteReceiver, StreamEnd, StreamSocket } from '@routy/link/streams';
import { formatAddress, type RoutyError } from '@routy/proto/base';
import type { ForwardConfig } from '../config/types.ts';
import { TCP } from '../fabric/tcp.ts';
import type { LiveSession } from '../sessions/live-sessions.ts';
import { type RefusalCode, Tally } from '../status/results.ts';
import { ABOUT_TO_LISTEN, type ForwardStatus } from '../status/status.ts';
import { ClientList } from './client-list.ts';
import { HoldQueue } from './hold-queue.ts';
import { LocalListener } from './local-listener.ts';
import type { MakeLocalServer } from './local-server.ts';

/** What a forward asks of the node around it. */
export interface ForwardHost {
  /** Asked for each connection, so that a change of the sessions costs nothing here. */
  candidates(site: string, service: string): LiveSession[];
  isReachable(site: string, service: string): boolean;
  whyUnreachable(site: string, service: string): string;
  nowMs(): number;
  retryDelayMs(attempt: number): number;
  /** Of sockets of Node when left out. */
  readonly makeServer?: MakeLocalServer | undefined;
  /** The forward's state is another one now, or it failed again. */
  onState(forward: Forward): void;
  onAcceptError(forward: Forward, error: RoutyError): void;
  /** A client's connection reached the target. */
  onOpened(forward: Forward, peer: string): void;
  /** A client's connection came to nothing. */
  onRefused(forward: Forward, code: RefusalCode, reason: string): void;
}

const NOBODY: readonly LiveSession[] = [];

/**
 * One forward: a local address and the connections that came in there. It listens while a live
 * session offers its service, or always when it is configured to hold clients.
 */
export class Forward {
  config: ForwardConfig;
  readonly tally = new Tally();
  readonly host: ForwardHost;
  readonly #listener: LocalListener;
  #clients: ClientList;
  #held: HoldQueue | undefined;
  readonly #streams = new Set<ForwardStream>();
  /** A session offers the service. */
  #served = false;
  #open = false;
  #toldState: ForwardStatus['state'] = 'unavailable';

  constructor(config: ForwardConfig, host: ForwardHost) {
    this.config = config;
    this.#clients = new ClientList(config.clients);
    this.host = host;
    this.#listener = new LocalListener(
      config.listen,
      {
        onSocket: (socket) => this.#onSocket(socket),
        onState: () => this.#tellState('every-error'),
        onAcceptError: (error) => host.onAcceptError(this, error),
      },
      host,
      config.socket,
    );
    this.#held = this.#newQueue();
  }

  /** `unix:/run/db.sock -> gray/postgres`. */
  get name(): string {
    return `${formatAddress(this.config.listen)} -> ${this.to}`;
  }

  get to(): string {
    return `${this.config.to.site}/${this.config.to.service}`;
  }

  /** Begins to follow the sessions: listens when it can be served. */
  start(): void {
    this.#open = true;
    this.update();
  }

  /** Another configuration of the same address; connections go on. */
  reconfigure(config: ForwardConfig): void {
    const before = this.#held;
    this.config = config;
    this.#clients = new ClientList(config.clients);
    this.#listener.setAccess(config.socket);
    this.#held = this.#newQueue();
    this.update();
    before?.release((socket) => this.#onSocket(socket));
  }

  /** Takes note of whether a session offers the service now. */
  update(): void {
    if (!this.#open) return;
    const { site, service } = this.config.to;
    this.#served = this.host.isReachable(site, service);
    if (this.#served || this.#held !== undefined) this.#listener.open();
    else this.#listener.close();
    if (this.#served) this.#held?.release((socket) => this.#onSocket(socket));
    this.#tellState();
  }

  /** Stops listening; held clients are reset, connections in progress go on. */
  stop(): void {
    this.#open = false;
    this.#served = false;
    this.#listener.close();
    this.#held?.release((socket) => socket.reset());
  }

  /** Resets every connection of this forward and says how many there were. */
  resetStreams(): number {
    const count = this.#streams.size;
    for (const stream of this.#streams) stream.socket.reset();
    return count;
  }

  get streams(): number {
    return this.#streams.size;
  }

  /** What a client has connected to. */
  destinationOf(socket: StreamSocket): OpenRequest['destination'] {
    const known = this.#listener.destination;
    if (known !== undefined) return { address: known.host, port: known.port };
    return endpoint(socket.localAddress, socket.localPort);
  }

  /** What to do about a listener that failed. */
  get hint(): string | undefined {
    return this.#listener.error?.hint;
  }

  status(): ForwardStatus {
    const { tally } = this;
    return {
      listen: formatAddress(this.#listener.address),
      to: this.to,
      ...this.#state(),
      streams: this.#streams.size,
      opened: tally.opened,
      refused: tally.refused,
      last: tally.last,
    };
  }

  #state(): Pick<ForwardStatus, 'state' | 'reason'> {
    const { error, listening } = this.#listener;
    const { site, service } = this.config.to;
    if (error !== undefined) return { state: 'error', reason: error.message };
    if (!this.#open) return { state: 'unavailable', reason: 'the node drains' };
    if (!this.#served) {
      const reason = this.host.whyUnreachable(site, service);
      return { state: listening ? 'holding' : 'unavailable', reason };
    }
    return listening
      ? { state: 'listening', reason: null }
      : { state: 'unavailable', reason: ABOUT_TO_LISTEN };
  }

  #tellState(when: 'changed' | 'every-error' = 'changed'): void {
    const { state } = this.#state();
    if (state === this.#toldState && !(state === 'error' && when === 'every-error')) return;
    this.#toldState = state;
    this.host.onState(this);
  }

  #newQueue(): HoldQueue | undefined {
    const { unavailable } = this.config;
    if (unavailable.kind !== 'hold') return undefined;
    return new HoldQueue(
      unavailable.ms,
      (socket) => this.#giveUp(socket),
      () => this.turnedAway('cancelled', 'the client hung up while it was held', null),
    );
  }

  #onSocket(socket: StreamSocket): void {
    if (!this.#clients.admits(socket.remoteAddress)) {
      this.#refuseClient(socket);
      return;
    }
    socket.keepAlive(this.config.keepaliveMs);
    const { site, service } = this.config.to;
    const candidates = this.#served ? this.host.candidates(site, service) : NOBODY;
    if (candidates.length > 0) this.#forward(socket, candidates);
    else if (this.#held?.add(socket) !== true) this.#giveUp(socket);
  }

  #forward(socket: StreamSocket, candidates: readonly LiveSession[]): void {
    const stream = new ForwardStream(this, socket, candidates);
    this.#streams.add(stream);
    stream.openAtNext();
  }

  #refuseClient(socket: StreamSocket): void {
    const reason = 'a client that is not in clients was reset';
    const from = socket.remoteAddress ?? 'a client that has gone';
    const code = 'client-not-listed';
    this.tally.turnedAway(this.host.nowMs(), code, `${from} is not in clients`, null);
    // Without the address: strangers choose theirs, and each would make a line of its own.
    this.host.onRefused(this, code, reason);
    socket.reset();
  }

  #giveUp(socket: StreamSocket): void {
    const reason = this.host.whyUnreachable(this.config.to.site, this.config.to.service);
    this.turnedAway('unavailable', reason, null);
    socket.reset();
  }

  connected(peer: string): void {
    this.tally.connected(this.host.nowMs(), peer);
    this.host.onOpened(this, peer);
  }

  turnedAway(code: RefusalCode, reason: string, peer: string | null): void {
    this.tally.turnedAway(this.host.nowMs(), code, reason, peer);
    this.host.onRefused(this, code, reason);
  }

  ended(stream: ForwardStream): void {
    this.#streams.delete(stream);
  }
}

/** One client's connection. A class and not closures: there is one for every connection. */
class ForwardStream implements OpenHandlers {
  readonly socket: StreamSocket;
  readonly #forward: Forward;
  readonly answerMs: number;
  readonly #request: OpenRequest;
  readonly #endpoint: ByteReceiver;
  /** Those not tried yet; let go as soon as one has accepted. */
  #candidates: readonly LiveSession[];
  #session: LiveSession | undefined;
  #accepted = false;

  constructor(forward: Forward, socket: StreamSocket, candidates: readonly LiveSession[]) {
    this.socket = socket;
    this.#forward = forward;
    this.#candidates = candidates;
    this.#endpoint = socket.endpoint('client', this.onEnd);
    this.answerMs = forward.config.connectTimeoutMs;
    this.#request = {
      ...TCP,
      service: forward.config.to.service,
      source: endpoint(socket.remoteAddress, socket.remotePort),
      destination: forward.destinationOf(socket),
    };
  }

  get mayMove(): boolean {
    return this.#candidates.length > 0;
  }

  /** Nobody has answered, and the session there has no lane: another node may be asked. */
  onWithdrawn(): void {
    const { site } = this.#session!.peer;
    this.#candidates = this.#forward.host.candidates(site, this.#request.service);
    this.openAtNext();
  }

  openAtNext(): void {
    const session = this.#candidates[0]!;
    this.#candidates = this.#candidates.slice(1);
    this.#session = session;
    session.driver.open(this.#request, this.#endpoint, this);
  }

  onAccepted(): void {
    this.#accepted = true;
    this.#candidates = NOBODY;
    this.#forward.connected(this.#peer());
  }

  /** No byte has passed: a session that drains is no reason to lose the client. */
  onRefused(code: StreamCode): boolean {
    if (code !== 'draining' || this.#candidates.length === 0) return false;
    this.openAtNext();
    return true;
  }

  /** Handed on by itself, without its object. */
  readonly onEnd = (end: StreamEnd): void => {
    this.#forward.ended(this);
    // A client that hung up before an answer was not turned away.
    if (this.#accepted || end.code === 'connection-reset') return;
    this.#forward.turnedAway(end.code ?? 'cancelled', end.reason, this.#peer());
  };

  #peer(): string {
    return this.#session!.name;
  }
}

function endpoint(address: string | undefined, port: number | undefined): OpenRequest['source'] {
  return address === undefined || port === undefined ? undefined : { address, port };
}
