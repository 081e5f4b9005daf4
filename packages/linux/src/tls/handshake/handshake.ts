import { setImmediate as nextTurn } from 'node:timers/promises';
import type { TLSSocket } from 'node:tls';
import {
  ALPN_LANE,
  type ChainFault,
  type HandshakeFault,
  handshakeFault,
  judgePeer,
  LANE_EXPORTER_BYTES,
  LANE_EXPORTER_LABEL,
  tlsErrorText,
} from '@routy/link/transport';
import type { Identity } from '@routy/proto/base';
import { type CipherSuite, cipherSuite } from '../../crypto/cipher-suites.ts';
import { KeyLog } from './key-log.ts';
import type { RecordFeed } from './record-feed.ts';

/** Turns of the event loop that node:tls needs for what it has still to send: a write ends in the next. */
const QUIET_TURNS = 2;

/** What a handshake leaves to the record layer that goes on with its connection. */
export interface Established {
  /** A verified node of this fabric. */
  readonly peer: Identity;
  readonly isClient: boolean;
  readonly suite: CipherSuite;
  /** For people: `TLSv1.3 TLS_AES_128_GCM_SHA256`. */
  readonly security: string;
  /** As `Lane.exporter` of `@routy/link/transport`. */
  readonly exporter: Uint8Array;
  /** Application traffic secrets; whoever has them clears them. */
  readonly sendSecret: Uint8Array;
  readonly receiveSecret: Uint8Array;
  /** Records sent already with the key of `sendSecret`: a server's tickets. */
  readonly sentRecords: number;
  /** What the peer sent after the handshake, as it came. */
  readonly leftover: Uint8Array;
}

/** Why there is no connection; what is for the peer has been sent by then. */
export class HandshakeFailure extends Error {
  readonly code: HandshakeFault | 'peer-not-verified';
  /** What about its certificate, in a word. */
  readonly fault: ChainFault | undefined;

  constructor(code: HandshakeFailure['code'], text: string, fault?: ChainFault) {
    super(text);
    this.code = code;
    this.fault = fault;
  }
}

export interface HandshakeStart {
  readonly feed: RecordFeed;
  readonly isClient: boolean;
  /** The fabric that the peer has to be of. */
  readonly fabric: string;
  readonly signal: AbortSignal;
}

/**
 * One TLS handshake, made by node:tls over bytes that somebody else reads and writes. Made by
 * `connectTls` and `TlsAcceptor`; whoever has one hands it the peer's bytes until `established` settles.
 */
export class Handshake {
  /**
   * Rejects with a {@link HandshakeFailure}, or with the signal's reason. Whoever awaits it takes the
   * connection over in the same turn of the event loop: bytes that come later are no longer taken here.
   */
  readonly established: Promise<Established>;
  readonly #options: HandshakeStart;
  readonly #keyLog = new KeyLog();
  readonly #settle: PromiseWithResolversOf<Established>;
  #socket: TLSSocket | undefined;
  #sentBefore = 0;
  #isSecure = false;
  #isOver = false;
  #isHandedOver = false;
  #isPumping = false;

  constructor(options: HandshakeStart) {
    this.#options = options;
    this.#settle = withResolvers();
    this.established = this.#settle.promise;
    // Whoever waits for it hears of it; that nobody does yet is no error.
    this.established.catch(() => {});
    options.signal.addEventListener('abort', this.#stop, { once: true });
    if (options.signal.aborted) this.#stop();
  }

  /** Bytes of the peer, cut anyhow; copied. Whoever has taken the connection over keeps them. */
  receive(bytes: Uint8Array): void {
    if (this.#isHandedOver) throw new Error('bytes for a handshake that is over');
    if (this.#isOver) return;
    this.#options.feed.receive(bytes);
    this.#pump();
  }

  /** The peer sends no more. What was wrong with its last bytes is known in the next turn. */
  receiveEnd(): void {
    setImmediate(() => {
      if (!this.#isSecure) this.#hangUp();
    });
  }

  /** The socket that makes it; its secrets come by `handleKeyLine`. */
  attach(socket: TLSSocket): void {
    if (this.#socket !== undefined) return;
    this.#socket = socket;
    if (this.#isOver) socket.destroy();
    // Stays: an error that comes late must not be nobody's.
    socket.on('error', (error) => this.handleError(error));
    socket.once('close', () => this.#hangUp());
  }

  readonly handleKeyLine = (line: Buffer): void => this.#keyLog.take(line);

  handleError(error: Error): void {
    this.#fail(new HandshakeFailure(handshakeFault(error), tlsErrorText(error)));
  }

  /** node:tls is through: no record after this one is given to it. */
  handleSecure(): void {
    this.#isSecure = true;
    this.#finish().catch((error: unknown) => this.#fail(error));
  }

  /** One record after the other, each only when node:tls has worked on the one before. */
  #pump(): void {
    const { feed } = this.#options;
    while (!this.#isSecure && !this.#isOver) {
      if (!feed.isReady) {
        this.#pumpSoon();
        return;
      }
      this.#sentBefore = feed.sentRecords;
      if (!feed.feedRecord()) return;
    }
  }

  #pumpSoon(): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    setImmediate(() => {
      this.#isPumping = false;
      this.#pump();
    });
  }

  async #finish(): Promise<void> {
    await this.#quiet();
    if (this.#isOver) return;
    const socket = this.#socket!;
    if (socket.alpnProtocol !== ALPN_LANE) return this.#refuse('alpn', `it speaks no ${ALPN_LANE}`);
    const verdict = judgePeer(socket, this.#options.fabric);
    if (!verdict.ok) return this.#refuse('peer-not-verified', verdict.reason, verdict.fault);
    const suite = cipherSuite(socket.getCipher().standardName);
    const secrets = this.#keyLog.release(this.#options.isClient);
    if (suite === undefined || secrets === undefined) {
      return this.#refuse('tls-failed', `no keys for ${socket.getCipher().standardName}`);
    }
    this.#resolve(socket, verdict.identity, suite, secrets);
  }

  #resolve(
    socket: TLSSocket,
    peer: Identity,
    suite: CipherSuite,
    secrets: Pick<Established, 'sendSecret' | 'receiveSecret'>,
  ): void {
    const { feed, isClient } = this.#options;
    const empty = Buffer.alloc(0);
    const result: Established = {
      ...{ peer, isClient, suite, ...secrets },
      security: `${socket.getProtocol()} ${suite.name}`,
      exporter: socket.exportKeyingMaterial(LANE_EXPORTER_BYTES, LANE_EXPORTER_LABEL, empty),
      // A client's last flight is of the handshake; a server's was sent before the client's came.
      sentRecords: isClient ? 0 : feed.sentRecords - this.#sentBefore,
      leftover: feed.waiting,
    };
    this.#isHandedOver = true;
    this.#end();
    this.#settle.resolve(result);
  }

  /** What node:tls has still to send leaves it in the turns after a handshake. */
  async #quiet(): Promise<void> {
    const { feed } = this.#options;
    for (let turn = 0, sent = -1; turn < QUIET_TURNS; turn++) {
      if (sent !== feed.sentRecords) turn = 0;
      sent = feed.sentRecords;
      await nextTurn();
    }
  }

  /** A close in the words of TLS: our certificate is with the peer by then, and its log can say why. */
  async #refuse(code: HandshakeFailure['code'], text: string, fault?: ChainFault): Promise<void> {
    this.#socket!.end();
    await this.#quiet();
    this.#fail(new HandshakeFailure(code, text, fault));
  }

  #hangUp(): void {
    this.#fail(new HandshakeFailure('closed', 'it hung up during the handshake'));
  }

  readonly #stop = (): void => this.#fail(this.#options.signal.reason);

  #fail(reason: unknown): void {
    if (this.#isOver) return;
    this.#keyLog.clear();
    this.#end();
    this.#settle.reject(reason);
  }

  #end(): void {
    this.#isOver = true;
    this.#options.signal.removeEventListener('abort', this.#stop);
    this.#options.feed.detach();
    this.#socket?.destroy();
    // Takes the socket of node:tls with it where that is not known yet.
    this.#options.feed.destroy();
  }
}

interface PromiseWithResolversOf<T> {
  readonly promise: Promise<T>;
  resolve(value: T): void;
  reject(reason: unknown): void;
}

/** `Promise.withResolvers` is younger than the oldest Node that Routy runs on. */
function withResolvers<T>(): PromiseWithResolversOf<T> {
  let resolve!: (value: T) => void;
  let reject!: (reason: unknown) => void;
  const promise = new Promise<T>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}
