import { createServer, type SecureContextOptions, type Server, type TLSSocket } from 'node:tls';
import {
  type AcceptedConnection,
  acceptedFault,
  ALPN_ENROL,
  ALPN_LANE,
  contextOptions,
  type HandshakeHandlers,
  type TlsCredentials,
  type TlsEngine,
} from '@routy/link/transport';
import { AcceptedTls, type Secured } from './accepted-tls.ts';
import { Handshake } from './handshake.ts';
import { IdlePool } from './idle-pool.ts';
import type { RawConnection } from './raw-connection.ts';

/** Node's own deadline restarts at every byte; that of whoever has the connection does not. In ms. */
const NODE_DEADLINE_MS = 600_000;

const PROTOCOLS = [ALPN_LANE, ALPN_ENROL];

/** Makes handshakes as their server, with the profile and the checks of every lane. */
export class TlsAcceptor<R extends RawConnection> implements TlsEngine<R, Secured<R>> {
  readonly #credentials: () => TlsCredentials;
  #current: TlsCredentials;
  #servers: IdlePool<OneAtATime>;

  /**
   * `credentials` is asked at every handshake: a new object holds from the next one on.
   *
   * @throws RoutyError `credentials-invalid`
   */
  constructor(credentials: () => TlsCredentials) {
    this.#credentials = credentials;
    this.#current = credentials();
    this.#servers = serversWith(this.#current);
  }

  /** `raw` is paused, and belongs to what is made of it. */
  accept(raw: R): AcceptedConnection<Secured<R>> {
    return new AcceptedTls(raw, (handlers) => this.#handshake(raw, handlers));
  }

  /** @throws RoutyError `credentials-invalid` */
  #handshake(raw: R, handlers: HandshakeHandlers<Secured<R>>) {
    this.#renew();
    const servers = this.#servers;
    const handshake = new Handshake({
      ...{ raw, isClient: false, protocols: PROTOCOLS, fabric: this.#current.identity.fabric },
      onEstablished: (established) => handlers.onSecure({ kind: 'lane', raw, established }),
      onEnrolment: (socket) => handlers.onSecure({ kind: 'enrolment', socket }),
      onFailed: (failure) => handlers.onFailed(failure),
    });
    const begin = () => {
      const server = servers.take();
      server.begin(handshake, () => servers.give(server));
    };
    return { handshake, begin };
  }

  #renew(): void {
    const credentials = this.#credentials();
    if (credentials === this.#current) return;
    const servers = serversWith(credentials);
    this.#servers.close();
    this.#servers = servers;
    this.#current = credentials;
  }
}

/** @throws RoutyError `credentials-invalid` */
function serversWith(credentials: TlsCredentials): IdlePool<OneAtATime> {
  const context = contextOptions(credentials);
  return new IdlePool(() => new OneAtATime(context, credentials.caPem));
}

/**
 * A server of node:tls that never listens. What it tells is of one connection at a time: node:tls does not
 * say which of several a socket of its own is over, and without a server it does not judge a client.
 */
class OneAtATime {
  readonly #server: Server;
  readonly #caPem: string;
  #handshake: Handshake | undefined;
  #socket: TLSSocket | undefined;
  #release: () => void = () => {};

  constructor(context: SecureContextOptions, caPem: string) {
    this.#caPem = caPem;
    this.#server = createServer({
      ...context,
      ALPNProtocols: PROTOCOLS,
      requestCert: true,
      // A newcomer has no certificate, and a refusal needs its reason: `judgePeer` decides.
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
      const options = { caPem: this.#caPem, protocols: PROTOCOLS };
      void this.#handshake?.handleFailure(acceptedFault(error, socket, options));
    });
  }

  /** `onFree` is called when node:tls has nothing more to tell of this connection. */
  begin(handshake: Handshake, onFree: () => void): void {
    this.#handshake = handshake;
    this.#release = onFree;
    this.#server.emit('connection', handshake.feed);
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
