import { type DialOptions, dialLane } from '../dial.ts';
import type { Lane } from '../lane.ts';
import { invalidAddress } from '../link-error.ts';
import { type LaneListener, type ListenOptions, listenLanes } from '../listen.ts';
import type { Transport, TransportAddress } from '../transport.ts';
import type { TlsCredentials } from './credentials.ts';

/** What makes the lanes of a TLS transport: the same on the wire, whichever sockets they are on. */
export interface TlsLanes {
  /** @throws RoutyError as `dialLane` */
  dial(options: DialOptions): Promise<Lane>;
  /** @throws RoutyError as `listenLanes` */
  listen(options: ListenOptions): Promise<LaneListener>;
}

/**
 * TLS 1.3 over TCP with certificates of the fabric's CA at both ends. `credentials` is asked at every
 * connection: a new object holds from the next handshake on. The lanes are those of `dialLane` and
 * `listenLanes` unless others are given.
 */
export function tlsTransport(
  credentials: () => TlsCredentials,
  lanes: TlsLanes = { dial: dialLane, listen: listenLanes },
): Transport {
  return {
    isProven: true,
    checkAddress: (address) => void tcpAddress('tls', address),
    dial: (address, signal) =>
      lanes.dial({ address: tcpAddress('tls', address), credentials: credentials(), signal }),
    listen: (address, handlers) =>
      lanes.listen({
        address: tcpAddress('tls', address),
        credentials,
        handlers: {
          onLane: (lane) => handlers.onLane(lane),
          onRefused: (refusal) => handlers.onRefused(refusal),
          // Whoever has no certificate yet gets one elsewhere.
          onEnrol: (socket) => socket.destroy(),
          onError: (error) => handlers.onError(error),
          onReopened: () => handlers.onReopened(),
        },
      }),
  };
}

/** @throws LinkError `address-invalid` */
export function tcpAddress(transport: string, address: TransportAddress) {
  if (typeof address === 'object' && address?.kind === 'tcp' && isHostAndPort(address))
    return address;
  throw invalidAddress(transport, address, "{ kind: 'tcp', host: 'gray.example', port: 7443 }");
}

function isHostAndPort({
  host,
  port,
}: {
  readonly host: unknown;
  readonly port: unknown;
}): boolean {
  const isHost = typeof host === 'string' && host !== '';
  return isHost && Number.isInteger(port) && (port as number) >= 0 && (port as number) <= 65_535;
}
