import type { SecureContextOptions, TLSSocket } from 'node:tls';
import type { RoutyError, TcpAddress } from '@routy/proto/base';
import type { Lane, TlsCredentials } from './lane.ts';
import {
  ConnectionAcceptor,
  type ConnectionRefusal,
  type UnverifiedConnection,
} from './tcp/connection-acceptor.ts';
import type { HalfOpenLimits } from './tcp/half-open.ts';
import { ListeningSocket, type ReopenDelays } from './tcp/listening-socket.ts';
import { NodeTlsEngine } from './tls/node-tls-engine.ts';
import { judgePeer } from './tls/peer-identity.ts';
import { ALPN_ENROL, ALPN_LANE, contextOptions } from './tls/tls-context.ts';
import { TlsLane } from './tls/tls-lane.ts';

export interface ListenHandlers {
  /** A lane whose peer is a verified node of this fabric. */
  onLane(lane: Lane): void;
  onRefused(refusal: ConnectionRefusal): void;
  /**
   * A newcomer without certificate (ALPN `routy-enrol/1`); the socket and every deadline are the
   * handler's from here on. It counts as half-open until it is closed or `proved` is called, and is
   * closed when it stands still while others wait.
   */
  onEnrol(socket: TLSSocket, remoteAddress: string, proved: () => void): void;
  /** The listener died; it is opened again by itself. */
  onError(error: RoutyError): void;
  /** The listener is open again after `onError`. */
  onReopened?(): void;
}

/** How lanes are listened for. */
export interface ListenOptions {
  /** Port 0 is one of the system's choice. */
  readonly address: TcpAddress;
  /** Asked at every connection: new credentials hold from the next handshake on. */
  credentials(): TlsCredentials;
  /** Who is told. */
  readonly handlers: ListenHandlers;
  /** `handshakeMs`: from accepted to verified, in ms; 10 s by default. */
  readonly timeouts?: { readonly handshakeMs?: number } | undefined;
  /** How many connections may be without a name at once. */
  readonly limits?: Partial<HalfOpenLimits> | undefined;
  /** Before a listener that died is opened again. */
  readonly reopenDelays?: ReopenDelays | undefined;
  /** An address that cannot be had yet is reported by `onError` and tried again, not thrown. */
  readonly insist?: boolean | undefined;
}

/** An address where lanes are accepted, until it is closed. */
export interface LaneListener {
  /** With the port that was given for port 0. */
  readonly address: TcpAddress;
  /** Why it is not listening right now. */
  readonly error: RoutyError | undefined;
  /** Connections that have not shown who they are. */
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
  const { handlers, timeouts, limits } = options;
  let credentials: TlsCredentials | undefined;
  let context: SecureContextOptions | undefined;
  const acceptor = new ConnectionAcceptor({
    tls: new NodeTlsEngine({
      context: () => {
        const current = options.credentials();
        if (context !== undefined && current === credentials) return context;
        context = contextOptions(current);
        credentials = current;
        return context;
      },
      protocols: [ALPN_LANE, ALPN_ENROL],
      requestCert: true,
    }),
    onSecure: (socket, connection) => {
      if (socket.alpnProtocol === ALPN_LANE) {
        takeLane(socket, connection, credentials!.identity.fabric, handlers);
        return;
      }
      connection.hold();
      handlers.onEnrol(socket, connection.from, () => connection.admit());
    },
    onRefused: (refusal) => handlers.onRefused(refusal),
    handshakeMs: timeouts?.handshakeMs,
    limits,
  });
  const listening = new ListeningSocket({
    address: options.address,
    delays: options.reopenDelays,
    onConnection: (socket) => acceptor.accept(socket),
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
      return acceptor.halfOpen;
    },
    close: async () => {
      listening.close();
      acceptor.close();
    },
  };
}

function takeLane(
  socket: TLSSocket,
  connection: UnverifiedConnection,
  fabric: string,
  handlers: ListenHandlers,
): void {
  const verdict = judgePeer(socket, fabric);
  if (!verdict.ok) {
    connection.refuse('peer-not-verified', verdict.reason, verdict.fault);
    return;
  }
  connection.admit();
  handlers.onLane(new TlsLane(socket, { peer: verdict.identity, direction: 'accepted' }));
}
