import { setImmediate as nextTurn } from 'node:timers/promises';
import type { TLSSocket } from 'node:tls';
import {
  ALPN_ENROL,
  ALPN_LANE,
  type HandshakeFailure,
  judgePeer,
  LANE_EXPORTER_BYTES,
  LANE_EXPORTER_LABEL,
  noCommonProtocol,
} from '@routy/link/transport';
import type { Identity } from '@routy/proto/base';
import { type CipherSuite, cipherSuite } from '../../crypto/cipher-suites.ts';
import { KeyLog } from './key-log.ts';
import type { RawConnection } from './raw-connection.ts';
import { RecordFeed } from './record-feed.ts';

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
  /** The peer's bytes ended behind `leftover`, and nobody will be told of it again. */
  readonly isEnded: boolean;
}

export interface HandshakeOptions {
  readonly raw: RawConnection;
  readonly isClient: boolean;
  /** The ALPN names that are spoken here. */
  readonly protocols: readonly string[];
  /** The fabric that the peer has to be of. */
  readonly fabric: string;
  /** The connection is paused, and another's from here on. */
  onEstablished(established: Established): void;
  /** It is an enrolment, which goes on over node:tls; the connection lives and dies with this socket. */
  onEnrolment?(socket: TLSSocket): void;
  /** What is for the peer has been sent; the connection is to be closed. */
  onFailed(failure: HandshakeFailure): void;
}

/**
 * One TLS handshake, made by node:tls over bytes that somebody else reads; made by `connectTls` and
 * `TlsAcceptor`. Whoever has one is told once what came of it.
 */
export class Handshake {
  readonly feed: RecordFeed;
  readonly #options: HandshakeOptions;
  readonly #keyLog = new KeyLog();
  #socket: TLSSocket | undefined;
  #sentBefore = 0;
  #isSecure = false;
  /** It fails, and nothing that happens from now on is the reason. */
  #isDecided = false;
  #isEnded = false;
  #isPumping = false;
  /** `streaming`: node:tls goes on with the connection. */
  #state: 'pending' | 'streaming' | 'over' = 'pending';

  constructor(options: HandshakeOptions) {
    this.#options = options;
    this.feed = new RecordFeed(options.raw);
  }

  /** Bytes of the peer, cut anyhow; copied. */
  receive(bytes: Uint8Array): void {
    if (this.#state === 'over') return;
    this.feed.receive(bytes);
    if (this.#state === 'pending') this.#pump();
  }

  /** The peer sends no more. */
  receiveEnd(): void {
    this.#isEnded = true;
    if (this.#state === 'streaming') this.feed.push(null);
    else this.#pump();
  }

  /** The connection is gone. */
  receiveClose(): void {
    // Node's TLS does not hear of it by way of what it is over.
    if (this.#state === 'streaming') this.#socket!.destroy();
    else this.#hangUp();
  }

  /** Ends it, and tells nobody. The connection is the caller's to close. */
  cancel(): void {
    if (this.#state === 'over') return;
    this.#keyLog.clear();
    this.#end();
  }

  /** The socket that makes it; its secrets come by `handleKeyLine`. */
  attach(socket: TLSSocket): void {
    if (this.#socket !== undefined) return;
    this.#socket = socket;
    if (this.#state === 'over') socket.destroy();
    // Stays: an error that comes late must not be nobody's.
    socket.on('error', () => socket.destroy());
    socket.once('close', () => this.#hangUp());
  }

  readonly handleKeyLine = (line: Buffer): void => this.#keyLog.take(line);

  /** node:tls has given up. Its alert leaves it in the turns that follow. */
  async handleFailure(failure: HandshakeFailure): Promise<void> {
    if (this.#isSecure || this.#isDecided) return;
    this.#isDecided = true;
    await this.#quiet();
    this.#fail(failure);
  }

  /** node:tls is through: no record after this one is given to it. */
  handleSecure(): void {
    this.#isSecure = true;
    this.#options.raw.pause();
    void this.#finish();
  }

  /** One record after the other, each only when node:tls has worked on the one before. */
  #pump(): void {
    const { feed } = this;
    while (!this.#isSecure && !this.#isDecided && this.#state === 'pending') {
      // It says so only in the next turn; given data, Node 20 would throw (onStreamRead).
      if (this.#socket?.destroyed === true) return;
      if (!feed.isReady) {
        this.#pumpSoon();
        return;
      }
      this.#sentBefore = feed.sentRecords;
      if (feed.feedRecord()) continue;
      if (this.#isEnded) this.#hangUpSoon();
      return;
    }
  }

  /** What was wrong with the peer's last bytes is known in the next turn. */
  #hangUpSoon(): void {
    setImmediate(() => {
      if (!this.#isSecure) this.#hangUp();
    });
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
    if (this.#state !== 'pending') return;
    const { alpnProtocol } = this.#socket!;
    if (alpnProtocol === ALPN_LANE) return this.#judge(this.#socket!);
    if (alpnProtocol !== ALPN_ENROL) {
      return this.#refuse(noCommonProtocol(this.#options.protocols));
    }
    this.#state = 'streaming';
    this.#keyLog.clear();
    this.feed.stream();
    if (this.#isEnded) this.feed.push(null);
    this.#options.onEnrolment!(this.#socket!);
  }

  #judge(socket: TLSSocket): void | Promise<void> {
    const verdict = judgePeer(socket, this.#options.fabric);
    if (!verdict.ok) {
      const { reason: detail, fault: cause } = verdict;
      return this.#refuse({ code: 'peer-not-verified', detail, cause });
    }
    const { standardName } = socket.getCipher();
    const suite = cipherSuite(standardName);
    const secrets = this.#keyLog.release(this.#options.isClient);
    if (suite === undefined || secrets === undefined) {
      return this.#refuse({ code: 'tls-failed', detail: `no keys for ${standardName}` });
    }
    this.#handOver(socket, verdict.identity, suite, secrets);
  }

  #handOver(
    socket: TLSSocket,
    peer: Identity,
    suite: CipherSuite,
    secrets: Pick<Established, 'sendSecret' | 'receiveSecret'>,
  ): void {
    const { isClient } = this.#options;
    const empty = Buffer.alloc(0);
    const established: Established = {
      ...{ peer, isClient, suite, ...secrets },
      security: `${socket.getProtocol()} ${suite.name}`,
      exporter: socket.exportKeyingMaterial(LANE_EXPORTER_BYTES, LANE_EXPORTER_LABEL, empty),
      // A client's last flight is of the handshake; a server's was sent before the client's came.
      sentRecords: isClient ? 0 : this.feed.sentRecords - this.#sentBefore,
      leftover: this.feed.waiting,
      isEnded: this.#isEnded,
    };
    this.#end();
    this.#options.onEstablished(established);
  }

  /** What node:tls has still to send leaves it in the turns after a handshake. */
  async #quiet(): Promise<void> {
    for (let turn = 0, sent = -1; turn < QUIET_TURNS; turn++) {
      if (sent !== this.feed.sentRecords) turn = 0;
      sent = this.feed.sentRecords;
      await nextTurn();
    }
  }

  /** A close in the words of TLS: our certificate is with the peer by then, and its log can say why. */
  async #refuse(failure: HandshakeFailure): Promise<void> {
    this.#isDecided = true;
    this.#socket!.end();
    await this.#quiet();
    this.#fail(failure);
  }

  #hangUp(): void {
    if (this.#state === 'pending' && !this.#isDecided) this.#fail({ code: 'closed', detail: '' });
  }

  #fail(failure: HandshakeFailure): void {
    if (this.#state === 'over') return;
    this.#keyLog.clear();
    this.#end();
    this.#options.onFailed(failure);
  }

  #end(): void {
    this.#state = 'over';
    this.feed.detach();
    this.#socket?.destroy();
    // Takes the socket of node:tls with it where that is not known yet.
    this.feed.destroy();
  }
}
