import { createServer, type SecureContextOptions, type Server, type TLSSocket } from 'node:tls';
import { ALPN_LANE, contextOptions, type TlsCredentials } from '@routy/link/transport';
import { Handshake } from './handshake.ts';
import { RecordFeed } from './record-feed.ts';

/** Node's own deadline restarts at every byte; that of the caller's signal does not. In ms. */
const NODE_DEADLINE_MS = 600_000;

/** Servers of node:tls that are kept for the next handshakes. */
const IDLE_SERVERS_MAX = 16;

export interface AcceptTlsOptions {
  /** Sends bytes to the peer, in order. They are the receiver's to keep. */
  send(bytes: Uint8Array): void;
  /** Has the deadline: a client may take as long as it lets it. */
  readonly signal: AbortSignal;
}

/** Makes handshakes as their server, with the profile and the checks of every lane. */
export class TlsAcceptor {
  readonly #credentials: () => TlsCredentials;
  #current: TlsCredentials;
  #context: SecureContextOptions;
  #idle: OneAtATime[] = [];

  /**
   * `credentials` is asked at every connection: a new object holds from the next handshake on.
   *
   * @throws RoutyError `credentials-invalid`
   */
  constructor(credentials: () => TlsCredentials) {
    this.#credentials = credentials;
    this.#current = credentials();
    this.#context = contextOptions(this.#current);
  }

  /** @throws RoutyError `credentials-invalid` */
  accept(options: AcceptTlsOptions): Handshake {
    this.#renew();
    const context = this.#context;
    const server = this.#idle.pop() ?? new OneAtATime(context);
    const feed = new RecordFeed((bytes) => options.send(bytes));
    const { fabric } = this.#current.identity;
    const handshake = new Handshake({ feed, isClient: false, fabric, signal: options.signal });
    server.begin(feed, handshake, () => {
      if (context === this.#context && this.#idle.length < IDLE_SERVERS_MAX)
        this.#idle.push(server);
    });
    return handshake;
  }

  #renew(): void {
    const credentials = this.#credentials();
    if (credentials === this.#current) return;
    this.#context = contextOptions(credentials);
    this.#current = credentials;
    this.#idle = [];
  }
}

/**
 * A server of node:tls that never listens. What it tells is of one connection at a time: node:tls does not
 * say which of several a socket of its own is over, and without a server it does not judge a client.
 */
class OneAtATime {
  readonly #server: Server;
  #handshake: Handshake | undefined;
  #socket: TLSSocket | undefined;
  #release: () => void = () => {};

  constructor(context: SecureContextOptions) {
    this.#server = createServer({
      ...context,
      ALPNProtocols: [ALPN_LANE],
      requestCert: true,
      // A refusal needs its reason: `judgePeer` decides.
      rejectUnauthorized: false,
      handshakeTimeout: NODE_DEADLINE_MS,
    });
    this.#server.on('keylog', (line: Buffer, socket: TLSSocket) => {
      this.#attach(socket);
      this.#handshake?.handleKeyLine(line);
    });
    this.#server.on('secureConnection', (socket: TLSSocket) => {
      this.#attach(socket);
      this.#handshake?.handleSecure();
    });
    this.#server.on('tlsClientError', (error: Error, socket: TLSSocket) => {
      this.#attach(socket);
      this.#handshake?.handleError(error);
    });
  }

  /** `onFree` is called when node:tls has nothing more to tell of this connection. */
  begin(feed: RecordFeed, handshake: Handshake, onFree: () => void): void {
    this.#handshake = handshake;
    this.#release = onFree;
    this.#server.emit('connection', feed);
  }

  #attach(socket: TLSSocket): void {
    if (this.#socket !== undefined) return;
    this.#socket = socket;
    this.#handshake?.attach(socket);
    if (socket.closed) this.#free();
    else socket.once('close', () => this.#free());
  }

  /** In a turn of its own: others hear of the same close. */
  #free(): void {
    setImmediate(() => {
      this.#socket = undefined;
      this.#handshake = undefined;
      this.#release();
    });
  }
}
