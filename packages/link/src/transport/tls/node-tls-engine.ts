import type { Socket } from 'node:net';
import { createServer, type SecureContextOptions, type Server, type TLSSocket } from 'node:tls';
import type { AcceptedConnection, HandshakeHandlers, TlsEngine } from './accepted-connection.ts';
import { acceptedFault, noCommonProtocol } from './handshake-failure.ts';

/** Node's own deadline restarts at every byte; that of whoever has the connection does not. In ms. */
const NODE_DEADLINE_MS = 600_000;

/** What a {@link NodeTlsEngine} shows, and asks for. */
export interface NodeTlsOptions {
  /**
   * Asked at every handshake; another object than the last is put in force.
   *
   * @throws RoutyError `credentials-invalid`
   */
  context(): SecureContextOptions;
  /** The ALPN names that are spoken here. */
  readonly protocols: readonly string[];
  /** A client is asked for its certificate; whether it has one is for whoever is told. */
  readonly requestCert: boolean;
}

/** Handshakes by a server of node:tls over sockets of node:net. */
export class NodeTlsEngine implements TlsEngine<Socket, TLSSocket> {
  readonly #options: NodeTlsOptions;
  readonly #server: Server;
  readonly #connections = new Map<string, NodeTlsConnection>();
  #context: SecureContextOptions;

  /** @throws RoutyError `credentials-invalid`: now, not at the first connection */
  constructor(options: NodeTlsOptions) {
    this.#options = options;
    this.#context = options.context();
    // Never listens itself: connections are put in by `#handshake`.
    this.#server = createServer({
      ...this.#context,
      ALPNProtocols: [...options.protocols],
      requestCert: options.requestCert,
      // A newcomer has no certificate, and a refusal needs its reason: whoever is told decides.
      rejectUnauthorized: false,
      handshakeTimeout: NODE_DEADLINE_MS,
    });
    this.#server.on('secureConnection', (socket: TLSSocket) => this.#handleSecure(socket));
    this.#server.on('tlsClientError', (error: Error, socket: TLSSocket) =>
      this.#handleError(error, socket),
    );
  }

  /** Its errors are nobody's until TLS has it: its `close` tells. */
  accept(raw: Socket): AcceptedConnection<TLSSocket> {
    raw.on('error', () => {});
    const connection: NodeTlsConnection = new NodeTlsConnection(raw, () => {
      this.#handshake(raw, connection);
    });
    return connection;
  }

  #handshake(raw: Socket, connection: NodeTlsConnection): void {
    const context = this.#options.context();
    if (context !== this.#context) {
      this.#server.setSecureContext(context);
      this.#context = context;
    }
    const key = connectionKey(raw);
    this.#connections.set(key, connection);
    raw.once('close', () => {
      // The pair of addresses may have been taken by a new connection already.
      if (this.#connections.get(key) === connection) this.#connections.delete(key);
    });
    this.#server.emit('connection', raw);
  }

  #handleSecure(socket: TLSSocket): void {
    // Stays: an error must not be nobody's, and node leaves the socket open after a TLS error.
    socket.on('error', () => socket.destroy());
    const connection = this.#connections.get(connectionKey(socket));
    if (connection === undefined) {
      socket.destroy();
      return;
    }
    connection.tls = socket;
    if (socket.alpnProtocol !== false) connection.handlers?.onSecure(socket);
    else connection.handlers?.onFailed(noCommonProtocol(this.#options.protocols));
  }

  #handleError(error: Error, socket: TLSSocket): void {
    // Without an address the connection is gone already, and its `close` reports it.
    const connection = this.#connections.get(connectionKey(socket));
    if (connection === undefined) return;
    const { protocols, requestCert } = this.#options;
    const { ca } = this.#context;
    const caPem = requestCert && typeof ca === 'string' ? ca : undefined;
    connection.handlers?.onFailed(acceptedFault(error, socket, { caPem, protocols }));
  }
}

class NodeTlsConnection implements AcceptedConnection<TLSSocket> {
  readonly #raw: Socket;
  readonly #begin: () => void;
  /** Once the handshake is done. */
  tls: TLSSocket | undefined;
  handlers: HandshakeHandlers<TLSSocket> | undefined;

  constructor(raw: Socket, begin: () => void) {
    this.#raw = raw;
    this.#begin = begin;
  }

  get remoteAddress(): string | undefined {
    return this.#raw.remoteAddress;
  }

  get remotePort(): number | undefined {
    return this.#raw.remotePort;
  }

  get bytesRead(): number {
    return this.#raw.bytesRead;
  }

  onClose(listener: () => void): void {
    this.#raw.once('close', listener);
  }

  /**
   * Node has read the bytes by then, and hands them to TLS in a buffer of their size, which TLS goes on
   * reading into: such a lane costs four times the reads for as long as it lives.
   */
  awaitBytes(heard: (count: number) => void): void {
    const raw = this.#raw;
    const onReadable = () => {
      // At its end there is nothing to read, and reading that is what ends it here, too.
      if (raw.readableLength === 0) {
        raw.read();
        return;
      }
      raw.off('readable', onReadable);
      heard(raw.readableLength);
    };
    raw.on('readable', onReadable);
  }

  handshake(handlers: HandshakeHandlers<TLSSocket>): void {
    this.handlers = handlers;
    this.#begin();
  }

  farewell(): void {
    if (this.tls === undefined) {
      this.#raw.destroy();
      return;
    }
    this.tls.end();
    this.tls.resume();
  }

  destroy(): void {
    (this.tls ?? this.#raw).destroy();
  }

  reset(): void {
    this.#raw.resetAndDestroy();
  }
}

/** The same for a connection and for the TLS socket over it. */
function connectionKey(socket: Socket): string {
  return `${socket.remoteAddress}|${socket.remotePort}|${socket.localAddress}`;
}
