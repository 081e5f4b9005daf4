import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { connectTls } from '../../packages/linux/src/tls/handshake/connect-tls.ts';
import { TlsAcceptor } from '../../packages/linux/src/tls/handshake/tls-acceptor.ts';
import { dialLane } from '../../packages/link/src/transport/dial.ts';
import { dialInSteps } from '../../packages/link/src/transport/tcp/dial-steps.ts';
import type { TlsCredentials } from '../../packages/link/src/transport/lane.ts';
import { listenLanes } from '../../packages/link/src/transport/listen.ts';
import {
  ConnectionAcceptor,
  type ConnectionRefusal,
} from '../../packages/link/src/transport/tcp/connection-acceptor.ts';
import { LOOPBACK } from './lane-pair.ts';
import { RawSocket } from './raw-socket.ts';

/** An end that accepts handshakes and keeps what it turned away. */
export interface AcceptingEnd {
  readonly port: number;
  readonly refusals: ConnectionRefusal[];
  /** Peers that came in. */
  readonly peers: string[];
  close(): Promise<void>;
}

/** How a data plane makes the handshakes of lanes: what fails has to be told alike. */
export interface HandshakeEnds {
  readonly name: 'portable' | 'native';
  /** Dials; what comes of it is closed again. */
  dial(port: number, credentials: TlsCredentials, tlsMs?: number): Promise<void>;
  listen(credentials: TlsCredentials, handshakeMs?: number): Promise<AcceptingEnd>;
}

const portable: HandshakeEnds = {
  name: 'portable',
  dial: async (port, credentials, tlsMs = 10_000) => {
    const address = { ...LOOPBACK, port };
    const lane = await dialLane({ address, credentials, timeouts: { tlsMs } });
    lane.destroy();
  },
  listen: async (credentials, handshakeMs) => {
    const refusals: ConnectionRefusal[] = [];
    const peers: string[] = [];
    const listener = await listenLanes({
      address: LOOPBACK,
      credentials: () => credentials,
      timeouts: handshakeMs === undefined ? {} : { handshakeMs },
      handlers: {
        onLane: (lane) => {
          peers.push(lane.peer.node);
          lane.destroy();
        },
        onRefused: (refusal) => refusals.push(refusal),
        onEnrol: (socket) => socket.destroy(),
        onError: (error) => {
          throw error;
        },
      },
    });
    const close = () => listener.close();
    return { port: listener.address.port, refusals, peers, close };
  },
};

const native: HandshakeEnds = {
  name: 'native',
  dial: (port, credentials, tlsMs = 10_000) => {
    const options = { address: { ...LOOPBACK, port }, timeouts: { tlsMs } };
    return dialInSteps(options, async (run) => {
      const socket = connect({ port, host: LOOPBACK.host, noDelay: true, allowHalfOpen: true });
      await once(socket, 'connect');
      const raw = new RawSocket(socket);
      const label = `${LOOPBACK.host}:${port}`;
      const established = await run('TLS handshake', tlsMs, (signal) =>
        connectTls({ raw, credentials, label, signal }),
      );
      established.sendSecret.fill(0);
      established.receiveSecret.fill(0);
      raw.destroy();
    });
  },
  listen: async (credentials, handshakeMs) => {
    const refusals: ConnectionRefusal[] = [];
    const peers: string[] = [];
    const acceptor = new ConnectionAcceptor({
      tls: new TlsAcceptor<RawSocket>(() => credentials),
      onSecure: (secured, connection) => {
        connection.admit();
        if (secured.kind === 'lane') {
          peers.push(secured.established.peer.node);
          secured.raw.destroy();
        } else secured.socket.destroy();
      },
      onRefused: (refusal) => refusals.push(refusal),
      handshakeMs,
    });
    const server = createServer({ noDelay: true, allowHalfOpen: true }, (socket) =>
      acceptor.accept(new RawSocket(socket)),
    );
    server.listen(0, LOOPBACK.host);
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    const close = async () => {
      server.close();
      acceptor.close();
    };
    return { port, refusals, peers, close };
  },
};

export const HANDSHAKE_ENDS: readonly HandshakeEnds[] = [portable, native];
