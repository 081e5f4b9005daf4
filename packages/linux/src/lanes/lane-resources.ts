import { endpoint, type Lane } from '@routy/link/transport';
import { type Aead, nodeAead, opensslAead } from '../crypto/index.ts';
import type { NativePlane } from '../sockets/native-plane.ts';
import type { NativeSocket } from '../sockets/native-socket.ts';
import type { SocketPlace } from '../system/socket-address.ts';
import { type Established, RecordLayer } from '../tls/index.ts';
import { NativeLane } from './native-lane.ts';
import { SEALED_BYTES_MAX } from './record-outbox.ts';

/** Probes an idle connection after this long, so that a peer without power is noticed, in ms. */
const KEEP_ALIVE_MS = 15_000;

/** What all native lanes of a process share. */
export interface LaneResources {
  readonly plane: NativePlane;
  readonly aead: Aead;
  /** Where records are sealed before the system takes them, one lane after the other. */
  readonly sealed: Uint8Array;
}

/** The ciphers are those of OpenSSL where this process shows them, and otherwise node:crypto's. */
export function laneResources(plane: NativePlane): LaneResources {
  return { plane, aead: processAead(plane), sealed: plane.system.allocate(SEALED_BYTES_MAX).bytes };
}

/** The lane that goes on with the connection of a handshake, which is paused. */
export function laneOf(
  resources: LaneResources,
  socket: NativeSocket,
  established: Established,
): Lane {
  socket.keepAlive(KEEP_ALIVE_MS);
  return new NativeLane({
    ...resources,
    socket,
    layer: new RecordLayer({ ...established, aead: resources.aead }),
    leftover: established.leftover,
    isEnded: established.isEnded,
    peer: established.peer,
    direction: established.isClient ? 'dialled' : 'accepted',
    remoteAddress: endText(socket.remotePlace),
    localAddress: endText(socket.localPlace),
    security: established.security,
    exporter: established.exporter,
  });
}

/** `host:port`. */
function endText(place: SocketPlace | undefined): string {
  return place !== undefined && 'host' in place
    ? endpoint(place.host, place.port)
    : endpoint(undefined, undefined);
}

function processAead({ system }: NativePlane): Aead {
  try {
    return opensslAead(system.library);
  } catch {
    return nodeAead;
  }
}
