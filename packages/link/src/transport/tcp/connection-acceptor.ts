import type { RoutyError } from '@routy/proto/base';
import { endpoint } from '../socket-lane.ts';
import type { AcceptedConnection, TlsEngine } from '../tls/accepted-connection.ts';
import { type HandshakeFault, refusalText } from '../tls/handshake-failure.ts';
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

export interface ConnectionAcceptorOptions<R, S> {
  /** Makes the handshakes. */
  readonly tls: TlsEngine<R, S>;
  /** TLS is established; nothing of what the peer sent after it has been read. */
  onSecure(secured: S, connection: UnverifiedConnection): void;
  onRefused(refusal: ConnectionRefusal): void;
  readonly handshakeMs?: number | undefined;
  readonly limits?: Partial<HalfOpenLimits> | undefined;
}

/** A connection on its way through the handshake. */
interface Arrival<S> {
  readonly connection: AcceptedConnection<S>;
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
export class ConnectionAcceptor<R, S> {
  readonly #options: ConnectionAcceptorOptions<R, S>;
  readonly #handshakeMs: number;
  readonly #arrivals = new Set<Arrival<S>>();
  readonly #halfOpen: HalfOpen<Arrival<S>>;
  #soon: NodeJS.Immediate | undefined;
  #later: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: ConnectionAcceptorOptions<R, S>) {
    this.#options = options;
    this.#halfOpen = new HalfOpen({ ...HALF_OPEN_LIMITS, ...options.limits });
    this.#handshakeMs = options.handshakeMs ?? HANDSHAKE_MS;
  }

  /** Connections that have not shown who they are. */
  get halfOpen(): number {
    return this.#halfOpen.count;
  }

  /** Takes a connection that was just accepted through the handshake. */
  accept(raw: R): void {
    const connection = this.#options.tls.accept(raw);
    const { remoteAddress, remotePort } = connection;
    if (this.#closed || remoteAddress === undefined) {
      // Reset before it was accepted: there is nobody to talk to or to name.
      connection.destroy();
      return;
    }
    const from = endpoint(remoteAddress, remotePort);
    const source = sourceOf(remoteAddress);
    const timer = setTimeout(() => this.#handleTimeout(arrival), this.#handshakeMs);
    const arrival: Arrival<S> = { connection, from, source, timer, begun: false, settled: false };
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
    for (const arrival of this.#arrivals) {
      if (arrival.settled) continue;
      this.#settle(arrival);
      arrival.connection.destroy();
    }
  }

  #watch(arrival: Arrival<S>): void {
    this.#arrivals.add(arrival);
    arrival.connection.onClose(() => {
      this.#arrivals.delete(arrival);
      this.#halfOpen.remove(arrival);
      this.#refuse(arrival, 'closed', refusalText({ code: 'closed', detail: '' }));
      this.#beginSoon();
    });
  }

  /** While places are few, silence takes none: the handshake waits for the first bytes. */
  #listen(arrival: Arrival<S>): void {
    arrival.connection.awaitBytes((count) => {
      if (count > FIRST_BYTES_MAX) {
        const reason = refusalText({ code: 'not-tls', detail: 'too much at once' });
        this.#refuse(arrival, 'not-tls', reason);
        return;
      }
      this.#halfOpen.heard(performance.now(), arrival);
      this.#begin();
    });
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

  #handshake(arrival: Arrival<S>): void {
    arrival.begun = true;
    try {
      arrival.connection.handshake({
        onSecure: (secured) => this.#handleSecure(secured, arrival),
        onFailed: (failure) => {
          const { code, cause } = failure;
          this.#farewell(arrival, code, refusalText(failure), cause);
        },
      });
    } catch (error) {
      this.#refuse(arrival, 'credentials-invalid', (error as RoutyError).message);
    }
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

  #handleSecure(secured: S, arrival: Arrival<S>): void {
    if (arrival.settled) {
      arrival.connection.destroy();
      return;
    }
    this.#options.onSecure(secured, {
      from: arrival.from,
      hold: () => {
        this.#settle(arrival);
        this.#halfOpen.established(performance.now(), arrival);
      },
      admit: () => {
        this.#settle(arrival);
        this.#halfOpen.remove(arrival);
        // What becomes of the connection is not told here any more: it may be another's.
        this.#arrivals.delete(arrival);
        this.#beginSoon();
      },
      refuse: (code, reason, cause) => this.#farewell(arrival, code, reason, cause),
    });
  }

  #handleTimeout(arrival: Arrival<S>): void {
    if (!arrival.begun && arrival.connection.bytesRead > 0) {
      this.#turnAway(arrival, 'too many connections wait for a handshake');
      return;
    }
    this.#refuse(arrival, 'handshake-timeout', `no TLS handshake within ${this.#handshakeMs} ms`);
  }

  /** For want of room. */
  #turnAway(arrival: Arrival<S>, reason: string): void {
    this.#refuse(arrival, 'overload', reason, { end: () => arrival.connection.reset() });
  }

  /** In the words of TLS, with time to be heard; what still comes is thrown away. */
  #farewell(
    arrival: Arrival<S>,
    code: ConnectionRefusalCode,
    reason: string,
    cause?: ChainFault,
  ): void {
    const { connection } = arrival;
    const end = () => {
      this.#halfOpen.established(performance.now(), arrival);
      const timer = setTimeout(() => connection.destroy(), FAREWELL_MS);
      connection.onClose(() => clearTimeout(timer));
      connection.farewell();
    };
    this.#refuse(arrival, code, reason, { end, cause });
  }

  #refuse(
    arrival: Arrival<S>,
    code: ConnectionRefusalCode,
    reason: string,
    how: { readonly end?: () => void; readonly cause?: ChainFault | undefined } = {},
  ): void {
    if (arrival.settled) return;
    this.#settle(arrival);
    const unfinished = code === 'closed' || code === 'handshake-timeout';
    const bytes = unfinished ? arrival.connection.bytesRead : undefined;
    if (how.end === undefined) arrival.connection.destroy();
    else how.end();
    const { from: remoteAddress } = arrival;
    this.#options.onRefused({ remoteAddress, code, reason, cause: how.cause, bytes });
  }

  #settle(arrival: Arrival<S>): void {
    arrival.settled = true;
    clearTimeout(arrival.timer);
  }
}
