import type { TlsCredentials } from '../../../../packages/link/src/transport/lane.ts';
import type { ConnectionRefusal } from '../../../../packages/link/src/transport/tcp/connection-acceptor.ts';
import { type LaneMaker, LOOPBACK } from '../../../support/lanes/lane-pair.ts';
import { LANE_KINDS } from '../../../support/lanes/native-lanes.ts';

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
  readonly name: string;
  /** Dials; what comes of it is closed again. */
  dial(port: number, credentials: TlsCredentials, tlsMs?: number): Promise<void>;
  listen(credentials: TlsCredentials, handshakeMs?: number): Promise<AcceptingEnd>;
}

/** One for each data plane that this machine has. */
export const HANDSHAKE_ENDS: readonly HandshakeEnds[] = Object.entries(LANE_KINDS).map(
  ([name, maker]) => ({
    name,
    dial: async (port, credentials, tlsMs = 10_000) => {
      const address = { ...LOOPBACK, port };
      const lane = await maker.dial({ address, credentials, timeouts: { tlsMs } });
      lane.destroy();
    },
    listen: (credentials, handshakeMs) => listen(maker, credentials, handshakeMs),
  }),
);

async function listen(
  maker: LaneMaker,
  credentials: TlsCredentials,
  handshakeMs: number | undefined,
): Promise<AcceptingEnd> {
  const refusals: ConnectionRefusal[] = [];
  const peers: string[] = [];
  const listener = await maker.listen({
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
  return { port: listener.address.port, refusals, peers, close: () => listener.close() };
}
