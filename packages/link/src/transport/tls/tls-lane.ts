import type { TLSSocket } from 'node:tls';
import type { Identity } from '@routy/proto/base';
import { LANE_EXPORTER_BYTES, LANE_EXPORTER_LABEL, type Lane } from '../lane.ts';
import { endpoint, SocketLane } from '../socket-lane.ts';

/** In TLS 1.3 an empty context and none give the same bytes. */
const NO_CONTEXT = Buffer.alloc(0);

export interface TlsLaneOptions {
  readonly peer: Identity;
  readonly direction: Lane['direction'];
  /** At least 16 KiB, the socket's own mark: node reports no drain below it. */
  readonly highWaterBytes?: number;
  readonly lingerMs?: number;
}

/** A lane over a TLS socket whose handshake is done and whose peer was judged. */
export class TlsLane extends SocketLane {
  constructor(socket: TLSSocket, options: TlsLaneOptions) {
    super(socket, {
      ...options,
      remoteAddress: endpoint(socket.remoteAddress, socket.remotePort),
      localAddress: endpoint(socket.localAddress, socket.localPort),
      security: `${socket.getProtocol()} ${socket.getCipher().standardName}`,
      // Now, as the handle that knows it may be gone later.
      exporter: socket.exportKeyingMaterial(LANE_EXPORTER_BYTES, LANE_EXPORTER_LABEL, NO_CONTEXT),
    });
  }
}
