import { ConnectionAcceptor, type LaneListener, type ListenOptions } from '@routy/link/transport';
import { ListenerGroup } from '../sockets/listener-group.ts';
import { type Secured, TlsAcceptor } from '../tls/index.ts';
import { type LaneResources, laneOf } from './lane-resources.ts';
import { RawSocket } from './raw-socket.ts';

/**
 * What `listenLanes` of `@routy/link/transport` does, on the native plane. Enrolments go on over node:tls.
 *
 * @throws RoutyError `listen-…`, `credentials-invalid`
 */
export async function listenNativeLanes(
  resources: LaneResources,
  options: ListenOptions,
): Promise<LaneListener> {
  const { address, handlers, timeouts, limits, reopenDelays, insist } = options;
  const { plane } = resources;
  const acceptor = new ConnectionAcceptor<RawSocket, Secured<RawSocket>>({
    tls: new TlsAcceptor(() => options.credentials()),
    onSecure: (secured, connection) => {
      if (secured.kind === 'lane') {
        connection.admit();
        handlers.onLane(laneOf(resources, secured.raw.socket, secured.established));
        return;
      }
      connection.hold();
      handlers.onEnrol(secured.socket, connection.from, () => connection.admit());
    },
    onRefused: (refusal) => handlers.onRefused(refusal),
    handshakeMs: timeouts?.handshakeMs,
    limits,
  });
  const group = new ListenerGroup(plane, {
    address,
    delays: reopenDelays,
    onConnection: (socket) => acceptor.accept(new RawSocket(plane, socket)),
    onError: (error) => handlers.onError(error),
    onReopened: () => handlers.onReopened?.(),
  });
  await (insist === true ? group.insist() : group.open());
  return {
    get address() {
      return group.address;
    },
    get error() {
      return group.error;
    },
    get halfOpen() {
      return acceptor.halfOpen;
    },
    close: async () => {
      group.close();
      acceptor.close();
    },
  };
}
