import type { TLSSocket } from 'node:tls';
import type { AcceptedConnection, HandshakeHandlers } from '@routy/link/transport';
import type { Established, Handshake } from './handshake.ts';
import type { RawConnection } from './raw-connection.ts';

/**
 * What a handshake gives: a connection for whoever makes a lane of it, paused and without handlers of its
 * own; or a newcomer without certificate (ALPN `routy-enrol/1`) on a socket of node:tls, with which the
 * connection lives and dies.
 */
export type Secured<R extends RawConnection> =
  | { readonly kind: 'lane'; readonly raw: R; readonly established: Established }
  | { readonly kind: 'enrolment'; readonly socket: TLSSocket };

/** A handshake whose server is needed only when there are bytes for it. */
interface Begun {
  readonly handshake: Handshake;
  begin(): void;
}

/** Bytes that may come before the handshake begins: more are waited for by the system. */
const WAITING_MAX = 64 * 1024;

/** A native connection that was accepted, on its way through TLS. */
export class AcceptedTls<R extends RawConnection> implements AcceptedConnection<Secured<R>> {
  readonly #raw: R;
  readonly #start: (handlers: HandshakeHandlers<Secured<R>>) => Begun;
  readonly #closeListeners: (() => void)[] = [];
  #bytesRead = 0;
  /** What came before the handshake began. */
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #heard: ((count: number) => void) | undefined;
  #begun: Begun | undefined;
  #isServed = false;

  constructor(raw: R, start: (handlers: HandshakeHandlers<Secured<R>>) => Begun) {
    this.#raw = raw;
    this.#start = start;
    raw.bind({
      onBytes: (bytes) => this.#receive(bytes),
      onEnd: () => this.#receiveEnd(),
      onClose: () => this.#receiveClose(),
    });
    raw.resume();
  }

  get remoteAddress(): string | undefined {
    return this.#raw.remoteAddress;
  }

  get remotePort(): number | undefined {
    return this.#raw.remotePort;
  }

  get bytesRead(): number {
    return this.#bytesRead;
  }

  onClose(listener: () => void): void {
    this.#closeListeners.push(listener);
  }

  awaitBytes(heard: (count: number) => void): void {
    this.#heard = heard;
    if (this.#waitingBytes > 0) this.#tell();
  }

  handshake(handlers: HandshakeHandlers<Secured<R>>): void {
    const begun = this.#start(handlers);
    this.#begun = begun;
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.#raw.resume();
    for (const bytes of waiting) this.#serve(begun, bytes);
  }

  /** node:tls has said what is to be said: what is left is to let it be heard. */
  farewell(): void {
    this.#raw.bind({ onBytes: () => {}, onEnd: () => {}, onClose: () => this.#tellClose() });
    this.#raw.resume();
    this.#raw.end();
  }

  destroy(): void {
    this.#begun?.handshake.cancel();
    this.#raw.destroy();
  }

  reset(): void {
    this.#begun?.handshake.cancel();
    this.#raw.reset();
  }

  #receive(bytes: Uint8Array): void {
    this.#bytesRead += bytes.length;
    if (this.#begun !== undefined) {
      this.#serve(this.#begun, bytes);
      return;
    }
    this.#waiting.push(Uint8Array.from(bytes));
    this.#waitingBytes += bytes.length;
    if (this.#waitingBytes > WAITING_MAX) this.#raw.pause();
    this.#tell();
  }

  #serve(begun: Begun, bytes: Uint8Array): void {
    if (!this.#isServed) begun.begin();
    this.#isServed = true;
    begun.handshake.receive(bytes);
  }

  #tell(): void {
    const heard = this.#heard;
    this.#heard = undefined;
    heard?.(this.#waitingBytes);
  }

  #receiveEnd(): void {
    if (this.#isServed) this.#begun!.handshake.receiveEnd();
    // It hung up before it said anything, or while it waited.
    else this.#raw.destroy();
  }

  #receiveClose(): void {
    this.#begun?.handshake.receiveClose();
    this.#tellClose();
  }

  #tellClose(): void {
    for (const listener of this.#closeListeners) listener();
  }
}
