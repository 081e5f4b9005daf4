import type { Socket } from 'node:net';
import { createServer as createTlsServer, type Server, type TLSSocket } from 'node:tls';
import type { TcpAddress } from '../base/address.ts';
import type { RoutyError } from '../base/errors.ts';
import { type HandshakeFault, handshakeFault, tlsErrorText } from './failures.ts';
import { HalfOpen, type HalfOpenLimits, sourceOf } from './half-open.ts';
import type { Lane, TlsCredentials } from './lane.ts';
import { ListeningSocket, type ReopenDelays } from './listening-socket.ts';
import { judgePeer } from './peer-identity.ts';
import { ALPN_ENROL, ALPN_LANE, secureContext, TLS_PROFILE } from './tls-context.ts';
import { endpoint, TlsLane } from './tls-lane.ts';

/** Why a connection did not become a lane; stable, for metrics. */
export type RefusalCode =
  | 'peer-not-verified'
  | 'handshake-timeout'
  | 'overload'
  | 'credentials-invalid'
  | HandshakeFault;

export interface Refusal {
  /** `host:port` it came from. */
  readonly remoteAddress: string;
  readonly code: RefusalCode;
  /** One line for the log; the same each time, so that repeated ones can be counted. */
  readonly reason: string;
  /** What came before it hung up or its time was over. */
  readonly bytes?: number | undefined;
}

export interface ListenHandlers {
  /** A lane whose peer is a verified node of this fabric. */
  onLane(lane: Lane): void;
  onRefused(refusal: Refusal): void;
  /**
   * A newcomer without certificate (ALPN `routy-enrol/1`); the socket and every deadline are the
   * handler's from here on. It counts as half-open until it is closed, and is closed when it has to
   * make room for others.
   */
  onEnrol(socket: TLSSocket, remoteAddress: string): void;
  /** The listener died; it is opened again by itself. */
  onError(error: RoutyError): void;
  /** The listener is open again after `onError`. */
  onReopened?(): void;
}

/** Beyond them the oldest makes room for a newcomer. */
export const LISTEN_LIMITS: HalfOpenLimits = { halfOpen: 256, halfOpenPerAddress: 64 };

/** From accepted to verified, however slowly the bytes come, in ms. */
export const HANDSHAKE_MS = 10_000;

export interface ListenOptions {
  readonly address: TcpAddress;
  /** Asked at every connection: new credentials hold from the next handshake on. */
  credentials(): TlsCredentials;
  readonly handlers: ListenHandlers;
  readonly timeouts?: { readonly handshakeMs?: number } | undefined;
  readonly limits?: Partial<HalfOpenLimits> | undefined;
  readonly reopenDelays?: ReopenDelays | undefined;
  /** An address that cannot be had yet is reported by `onError` and tried again, not thrown. */
  readonly insist?: boolean | undefined;
}

export interface LaneListener {
  /** With the port that was given for port 0. */
  readonly address: TcpAddress;
  /** Why it is not listening right now. */
  readonly error: RoutyError | undefined;
  /** Connections without a finished handshake. */
  readonly halfOpen: number;
  /** Stops listening and drops unfinished handshakes; lanes handed out live on. */
  close(): Promise<void>;
}

/**
 * Listens for lanes and enrolments on one port, told apart by ALPN.
 *
 * @throws RoutyError `listen-…` (see `ListeningSocket.open`), `credentials-invalid`
 */
export async function listenLanes(options: ListenOptions): Promise<LaneListener> {
  const desk = new Reception(options);
  const listening = new ListeningSocket({
    address: options.address,
    delays: options.reopenDelays,
    onConnection: (socket) => desk.receive(socket),
    onError: (error) => options.handlers.onError(error),
    onReopened: () => options.handlers.onReopened?.(),
  });
  await (options.insist === true ? listening.insist() : listening.open());
  return {
    get address() {
      return listening.address;
    },
    get error() {
      return listening.error;
    },
    get halfOpen() {
      return desk.halfOpen;
    },
    close: async () => {
      listening.close();
      desk.close();
    },
  };
}

/** A connection on its way through the handshake. */
interface Arrival {
  readonly raw: Socket;
  /** `host:port`. */
  readonly from: string;
  /** As by `sourceOf`. */
  readonly source: string;
  readonly timer: NodeJS.Timeout;
  /** A verdict was given: later events are not news. */
  settled: boolean;
}

/** Takes accepted connections through TLS to a verdict, within deadline and limits. */
class Reception {
  readonly #options: ListenOptions;
  readonly #handshakeMs: number;
  readonly #tls: Server;
  readonly #arrivals = new Map<string, Arrival>();
  readonly #halfOpen: HalfOpen<Arrival>;
  #credentials: TlsCredentials;

  constructor(options: ListenOptions) {
    this.#options = options;
    this.#halfOpen = new HalfOpen({ ...LISTEN_LIMITS, ...options.limits });
    this.#handshakeMs = options.timeouts?.handshakeMs ?? HANDSHAKE_MS;
    this.#credentials = options.credentials();
    // Fails with a clear message now, not at the first connection.
    secureContext(this.#credentials);
    // Never listens itself: connections are put in by `receive`.
    this.#tls = createTlsServer({
      ...contextOptions(this.#credentials),
      ALPNProtocols: [ALPN_LANE, ALPN_ENROL],
      requestCert: true,
      // A newcomer has no certificate, and a refusal needs its reason: `#handleSecure` decides.
      rejectUnauthorized: false,
      // Node's own deadline restarts at every byte; ours does not.
      handshakeTimeout: 2 * this.#handshakeMs,
    });
    this.#tls.on('secureConnection', (socket: TLSSocket) => this.#handleSecure(socket));
    this.#tls.on('tlsClientError', (error: Error, socket: TLSSocket) =>
      this.#handleTlsError(error, socket),
    );
  }

  get halfOpen(): number {
    return this.#halfOpen.count;
  }

  receive(raw: Socket): void {
    if (raw.remoteAddress === undefined) {
      // Reset before it was accepted: there is nobody to talk to or to name.
      raw.destroy();
      return;
    }
    const from = endpoint(raw.remoteAddress, raw.remotePort);
    const source = sourceOf(raw.remoteAddress);
    this.#makeRoom(source);
    const timer = setTimeout(() => this.#handleTimeout(arrival), this.#handshakeMs);
    const arrival: Arrival = { raw, from, source, timer, settled: false };
    this.#admit(arrival);
    if (this.#renew(arrival)) this.#tls.emit('connection', raw);
  }

  close(): void {
    for (const arrival of this.#arrivals.values()) {
      if (arrival.settled) continue;
      this.#settle(arrival);
      arrival.raw.destroy();
    }
  }

  /** For one more from `source`. */
  #makeRoom(source: string): void {
    const crowded = this.#halfOpen.crowded(source);
    if (crowded === undefined) return;
    const { victim, reason } = crowded;
    this.#halfOpen.remove(victim);
    // One that enrols had its verdict; that it ends here is news all the same.
    victim.settled = false;
    this.#refuse(victim, 'overload', reason);
  }

  #admit(arrival: Arrival): void {
    const { raw } = arrival;
    const key = connectionKey(raw);
    this.#arrivals.set(key, arrival);
    this.#halfOpen.add(arrival);
    raw.once('close', () => {
      // The pair of addresses may have been taken by a new connection already.
      if (this.#arrivals.get(key) === arrival) this.#arrivals.delete(key);
      this.#halfOpen.remove(arrival);
      this.#refuse(arrival, 'closed', faultText('closed', ''));
    });
  }

  /** Puts new credentials in force; false when they cannot be used and the arrival was refused. */
  #renew(arrival: Arrival): boolean {
    const credentials = this.#options.credentials();
    if (credentials === this.#credentials) return true;
    try {
      secureContext(credentials);
      this.#tls.setSecureContext(contextOptions(credentials));
      this.#credentials = credentials;
      return true;
    } catch (error) {
      this.#refuse(arrival, 'credentials-invalid', (error as RoutyError).message);
      return false;
    }
  }

  /** TLS is established; nothing of what the peer sent has been read, and nothing will be unless it passes. */
  #handleSecure(socket: TLSSocket): void {
    // Stays: an error must not be nobody's, and node leaves the socket open after a TLS error.
    socket.on('error', () => socket.destroy());
    const arrival = this.#arrivals.get(connectionKey(socket));
    if (arrival === undefined || arrival.settled) {
      socket.destroy();
      return;
    }
    if (socket.alpnProtocol === ALPN_ENROL) {
      this.#settle(arrival);
      this.#options.handlers.onEnrol(socket, arrival.from);
      return;
    }
    if (socket.alpnProtocol !== ALPN_LANE) {
      this.#refuse(arrival, 'alpn', faultText('alpn', ''));
      return;
    }
    const verdict = judgePeer(socket, this.#credentials.identity.fabric);
    if (!verdict.ok) {
      this.#refuse(arrival, 'peer-not-verified', verdict.reason);
      return;
    }
    this.#settle(arrival);
    this.#halfOpen.remove(arrival);
    const lane = new TlsLane(socket, { peer: verdict.identity, direction: 'accepted' });
    this.#options.handlers.onLane(lane);
  }

  #handleTlsError(error: Error, socket: TLSSocket): void {
    const arrival = this.#arrivals.get(connectionKey(socket));
    // Without an address the connection is gone already, and its `close` reports it.
    if (arrival === undefined) return;
    const fault = handshakeFault(error);
    this.#refuse(arrival, fault, faultText(fault, tlsErrorText(error)));
  }

  #handleTimeout(arrival: Arrival): void {
    this.#refuse(arrival, 'handshake-timeout', `no TLS handshake within ${this.#handshakeMs} ms`);
  }

  #refuse(arrival: Arrival, code: RefusalCode, reason: string): void {
    if (arrival.settled) return;
    this.#settle(arrival);
    this.#halfOpen.remove(arrival);
    arrival.raw.destroy();
    const unfinished = code === 'closed' || code === 'handshake-timeout';
    const bytes = unfinished ? arrival.raw.bytesRead : undefined;
    this.#options.handlers.onRefused({ remoteAddress: arrival.from, code, reason, bytes });
  }

  #settle(arrival: Arrival): void {
    arrival.settled = true;
    clearTimeout(arrival.timer);
  }
}

function contextOptions(credentials: TlsCredentials) {
  return {
    ...TLS_PROFILE,
    key: credentials.keyPem,
    cert: credentials.certChainPem,
    ca: credentials.caPem,
  };
}

/** The same for a connection and for the TLS socket over it. */
function connectionKey(socket: Socket): string {
  return `${socket.remoteAddress}|${socket.remotePort}|${socket.localAddress}`;
}

function faultText(fault: HandshakeFault, detail: string): string {
  switch (fault) {
    case 'not-tls':
      return `not TLS (${detail})`;
    case 'tls-version':
      return 'the client does not offer TLS 1.3';
    case 'alpn':
      return `the client offers neither ${ALPN_LANE} nor ${ALPN_ENROL}`;
    case 'closed':
      return 'hung up during the TLS handshake';
    default:
      return `TLS handshake failed: ${detail}`;
  }
}
