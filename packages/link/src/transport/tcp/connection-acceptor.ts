import type { Socket } from 'node:net';
import {
  createServer as createTlsServer,
  type SecureContextOptions,
  type Server,
  type TLSSocket,
} from 'node:tls';
import type { RoutyError } from '@routy/proto/base';
import { type HandshakeFault, handshakeFault, tlsErrorText } from '../failures.ts';
import { endpoint } from '../socket-lane.ts';
import type { ChainFault } from '../tls/peer-identity.ts';
import { HalfOpen, type HalfOpenLimits, sourceOf } from './half-open.ts';

/** Why a connection was not taken in; stable, for metrics. */
export type ConnectionRefusalCode =
  | 'peer-not-verified'
  | 'handshake-timeout'
  | 'overload'
  | 'credentials-invalid'
  | HandshakeFault;

/** A connection that was turned away before it became a lane, and why. */
export interface ConnectionRefusal {
  /** `host:port` it came from. */
  readonly remoteAddress: string;
  /** Stable, for metrics. */
  readonly code: ConnectionRefusalCode;
  /** What about its certificate, in a word that is the same each time. */
  readonly cause?: ChainFault | undefined;
  /** One line for the log. */
  readonly reason: string;
  /** What came before it hung up or its time was over. */
  readonly bytes?: number | undefined;
}

export const HALF_OPEN_LIMITS: HalfOpenLimits = {
  halfOpen: 256,
  halfOpenPerAddress: 64,
  waiting: 1024,
  waitingPerAddress: 512,
};

/** From accepted to verified, however slowly the bytes come, in ms. */
export const HANDSHAKE_MS = 10_000;

/** How long whoever was refused may take to hang up, in ms. */
const FAREWELL_MS = 1000;
/** A record (RFC 8446 §5.1): more than a ClientHello ever needs. */
const FIRST_BYTES_MAX = 16 * 1024 + 5;
/** Handshakes begun before others get their turn in this process. */
const BEGUN_AT_ONCE = 4;
/** How often those that stand still are looked for, while others wait. */
const LOOK_ROUND_MS = 100;

/** A connection after its TLS handshake, still counted as half-open. */
export interface UnverifiedConnection {
  /** `host:port`. */
  readonly from: string;
  /** Who it is will be known later: until then it counts, and gives its place to one that waits. */
  hold(): void;
  /** It has shown who it is, and counts no more. */
  admit(): void;
  /** Hangs up, and tells the owner why. */
  refuse(code: ConnectionRefusalCode, reason: string, cause?: ChainFault): void;
}

export interface ConnectionAcceptorOptions {
  /**
   * Asked at every connection; another object than the last is put in force.
   *
   * @throws RoutyError `credentials-invalid`
   */
  context(): SecureContextOptions;
  readonly protocols: readonly string[];
  readonly requestCert: boolean;
  /** TLS is established; nothing of what the peer sent after it has been read. */
  onSecure(socket: TLSSocket, connection: UnverifiedConnection): void;
  onRefused(refusal: ConnectionRefusal): void;
  readonly handshakeMs?: number | undefined;
  readonly limits?: Partial<HalfOpenLimits> | undefined;
}

/** A connection on its way through the handshake. */
interface Arrival {
  readonly raw: Socket;
  /** `host:port`. */
  readonly from: string;
  /** As by `sourceOf`. */
  readonly source: string;
  readonly timer: NodeJS.Timeout;
  /** Its handshake has begun. */
  begun: boolean;
  /** A verdict was given: later events are not news. */
  settled: boolean;
}

/**
 * Takes accepted connections through TLS, within deadline and limits; every listener of Routy has
 * one. Who has to go because of the limits is reset: that is no word of TLS, and tells the dialler
 * that it is not refused but may come again soon. A refusal is a close in the words of TLS.
 */
export class ConnectionAcceptor {
  readonly #options: ConnectionAcceptorOptions;
  readonly #handshakeMs: number;
  readonly #tls: Server;
  readonly #arrivals = new Map<string, Arrival>();
  readonly #halfOpen: HalfOpen<Arrival>;
  #context: SecureContextOptions;
  #soon: NodeJS.Immediate | undefined;
  #later: NodeJS.Timeout | undefined;
  #closed = false;

  /** @throws RoutyError `credentials-invalid`: now, not at the first connection */
  constructor(options: ConnectionAcceptorOptions) {
    this.#options = options;
    this.#halfOpen = new HalfOpen({ ...HALF_OPEN_LIMITS, ...options.limits });
    this.#handshakeMs = options.handshakeMs ?? HANDSHAKE_MS;
    this.#context = options.context();
    // Never listens itself: connections are put in by `#begin`.
    this.#tls = createTlsServer({
      ...this.#context,
      ALPNProtocols: [...options.protocols],
      requestCert: options.requestCert,
      // A newcomer has no certificate, and a refusal needs its reason: `onSecure` decides.
      rejectUnauthorized: false,
      // Node's own deadline restarts at every byte; ours does not.
      handshakeTimeout: 2 * this.#handshakeMs,
    });
    this.#tls.on('secureConnection', (socket: TLSSocket) => this.#handleSecure(socket));
    this.#tls.on('tlsClientError', (error: Error, socket: TLSSocket) =>
      this.#handleTlsError(error, socket),
    );
  }

  /** Connections that have not shown who they are. */
  get halfOpen(): number {
    return this.#halfOpen.count;
  }

  /** Takes a connection that was just accepted through the handshake. */
  accept(raw: Socket): void {
    // Before TLS takes it over an error would be nobody's; its `close` tells.
    raw.on('error', () => {});
    if (this.#closed || raw.remoteAddress === undefined) {
      // Reset before it was accepted: there is nobody to talk to or to name.
      raw.destroy();
      return;
    }
    const from = endpoint(raw.remoteAddress, raw.remotePort);
    const source = sourceOf(raw.remoteAddress);
    const timer = setTimeout(() => this.#handleTimeout(arrival), this.#handshakeMs);
    const arrival: Arrival = { raw, from, source, timer, begun: false, settled: false };
    this.#watch(arrival);
    const victim = this.#halfOpen.add(performance.now(), arrival);
    if (victim !== undefined) this.#turnAway(victim, 'too many connections wait for a handshake');
    if (victim === arrival) return;
    if (this.#halfOpen.beginAtOnce(performance.now(), arrival)) this.#handshake(arrival);
    else this.#listen(arrival);
  }

  /** Drops unfinished handshakes and takes no more. */
  close(): void {
    this.#closed = true;
    clearImmediate(this.#soon);
    clearTimeout(this.#later);
    for (const arrival of this.#arrivals.values()) {
      if (arrival.settled) continue;
      this.#settle(arrival);
      arrival.raw.destroy();
    }
  }

  #watch(arrival: Arrival): void {
    const { raw } = arrival;
    const key = connectionKey(raw);
    this.#arrivals.set(key, arrival);
    raw.once('close', () => {
      // The pair of addresses may have been taken by a new connection already.
      if (this.#arrivals.get(key) === arrival) this.#arrivals.delete(key);
      this.#halfOpen.remove(arrival);
      this.#refuse(arrival, 'closed', faultText('closed', ''));
      this.#beginSoon();
    });
  }

  /**
   * While places are few, silence takes none: the handshake waits for the first bytes. Node has read
   * them by then, and hands them to TLS in a buffer of their size, which TLS goes on reading into:
   * such a lane costs four times the reads for as long as it lives.
   */
  #listen(arrival: Arrival): void {
    const { raw } = arrival;
    const onReadable = () => {
      // At its end there is nothing to read, and reading that is what ends it here, too.
      if (raw.readableLength === 0) {
        raw.read();
        return;
      }
      raw.off('readable', onReadable);
      if (raw.readableLength > FIRST_BYTES_MAX) {
        this.#refuse(arrival, 'not-tls', faultText('not-tls', 'too much at once'));
        return;
      }
      this.#halfOpen.heard(performance.now(), arrival);
      this.#begin();
    };
    raw.on('readable', onReadable);
  }

  /** As many handshakes as there are places for, a few at a time. */
  #begin(): void {
    if (this.#closed) return;
    for (let count = 0; count < BEGUN_AT_ONCE; count++) {
      const arrival = this.#halfOpen.begin(performance.now());
      if (arrival === undefined) {
        this.#lookLater();
        return;
      }
      this.#handshake(arrival);
    }
    this.#beginSoon();
  }

  #handshake(arrival: Arrival): void {
    arrival.begun = true;
    if (this.#renew(arrival)) this.#tls.emit('connection', arrival.raw);
  }

  #beginSoon(): void {
    if (this.#halfOpen.waiting === 0 || this.#closed || this.#soon !== undefined) return;
    this.#soon = setImmediate(() => {
      this.#soon = undefined;
      this.#begin();
    });
  }

  #lookLater(): void {
    if (this.#halfOpen.waiting === 0 || this.#later !== undefined) return;
    this.#later = setTimeout(() => {
      // After a pause of this process what the others have sent is read first.
      setImmediate(() => {
        this.#later = undefined;
        this.#turnOut();
      });
    }, LOOK_ROUND_MS);
  }

  /** Whoever stands still while others wait. */
  #turnOut(): void {
    for (;;) {
      const victim = this.#halfOpen.giveWay(performance.now());
      if (victim === undefined) break;
      // One that enrols had its verdict; that it ends here is news all the same.
      victim.settled = false;
      this.#turnAway(victim, 'it stood still while others waited for a handshake');
      // Its place is taken before the next is judged.
      this.#begin();
    }
    this.#begin();
  }

  /** Puts a new context in force; false when it cannot be used and the arrival was refused. */
  #renew(arrival: Arrival): boolean {
    try {
      const context = this.#options.context();
      if (context === this.#context) return true;
      this.#tls.setSecureContext(context);
      this.#context = context;
      return true;
    } catch (error) {
      this.#refuse(arrival, 'credentials-invalid', (error as RoutyError).message);
      return false;
    }
  }

  #handleSecure(socket: TLSSocket): void {
    // Stays: an error must not be nobody's, and node leaves the socket open after a TLS error.
    socket.on('error', () => socket.destroy());
    const arrival = this.#arrivals.get(connectionKey(socket));
    if (arrival === undefined || arrival.settled) {
      socket.destroy();
      return;
    }
    if (socket.alpnProtocol === false) {
      this.#farewell(socket, arrival, 'alpn', faultText('alpn', this.#offers));
      return;
    }
    this.#options.onSecure(socket, {
      from: arrival.from,
      hold: () => {
        this.#settle(arrival);
        this.#halfOpen.established(performance.now(), arrival);
      },
      admit: () => {
        this.#settle(arrival);
        this.#halfOpen.remove(arrival);
        this.#beginSoon();
      },
      refuse: (code, reason, cause) => this.#farewell(socket, arrival, code, reason, cause),
    });
  }

  #handleTlsError(error: Error, socket: TLSSocket): void {
    const arrival = this.#arrivals.get(connectionKey(socket));
    // Without an address the connection is gone already, and its `close` reports it.
    if (arrival === undefined) return;
    const fault = handshakeFault(error);
    const detail = fault === 'alpn' ? this.#offers : tlsErrorText(error);
    this.#refuse(arrival, fault, faultText(fault, detail));
  }

  get #offers(): string {
    const { protocols } = this.#options;
    return protocols.length === 1
      ? `does not offer ${protocols[0]}`
      : `offers neither ${protocols.join(' nor ')}`;
  }

  #handleTimeout(arrival: Arrival): void {
    if (!arrival.begun && arrival.raw.bytesRead > 0) {
      this.#turnAway(arrival, 'too many connections wait for a handshake');
      return;
    }
    this.#refuse(arrival, 'handshake-timeout', `no TLS handshake within ${this.#handshakeMs} ms`);
  }

  /** For want of room. */
  #turnAway(arrival: Arrival, reason: string): void {
    this.#refuse(arrival, 'overload', reason, () => arrival.raw.resetAndDestroy());
  }

  /** In the words of TLS, with time to be heard; what still comes is thrown away. */
  #farewell(
    socket: TLSSocket,
    arrival: Arrival,
    code: ConnectionRefusalCode,
    reason: string,
    cause?: ChainFault,
  ): void {
    const end = () => {
      this.#halfOpen.established(performance.now(), arrival);
      socket.end();
      socket.resume();
      const timer = setTimeout(() => socket.destroy(), FAREWELL_MS);
      socket.once('close', () => clearTimeout(timer));
    };
    this.#refuse(arrival, code, reason, end, cause);
  }

  #refuse(
    arrival: Arrival,
    code: ConnectionRefusalCode,
    reason: string,
    end: () => unknown = () => arrival.raw.destroy(),
    cause?: ChainFault,
  ): void {
    if (arrival.settled) return;
    this.#settle(arrival);
    const unfinished = code === 'closed' || code === 'handshake-timeout';
    const bytes = unfinished ? arrival.raw.bytesRead : undefined;
    end();
    this.#options.onRefused({ remoteAddress: arrival.from, code, reason, cause, bytes });
  }

  #settle(arrival: Arrival): void {
    arrival.settled = true;
    clearTimeout(arrival.timer);
  }
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
      return `the client ${detail}`;
    case 'closed':
      return 'hung up during the TLS handshake';
    default:
      return `TLS handshake failed: ${detail}`;
  }
}
