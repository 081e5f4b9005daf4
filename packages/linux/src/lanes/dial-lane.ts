import { isIP } from 'node:net';
import {
  type Connecting,
  connectFirst,
  type DialStepsOptions,
  describeTarget,
  dialInSteps,
  type Lane,
  LinkError,
  resolveInStep,
  secureContext,
  type TlsCredentials,
} from '@routy/link/transport';
import { formatHostPort } from '@routy/proto/base';
import { connectSocket } from '../sockets/connect.ts';
import type { NativePlane } from '../sockets/native-plane.ts';
import type { NativeSocket } from '../sockets/native-socket.ts';
import { connectTls } from '../tls/index.ts';
import { type LaneResources, laneOf } from './lane-resources.ts';
import { RawSocket } from './raw-socket.ts';

export interface DialNativeOptions extends DialStepsOptions {
  readonly credentials: TlsCredentials;
}

/**
 * What `dialLane` of `@routy/link/transport` does, on the native plane and without a proxy.
 *
 * @throws RoutyError as `dialLane`
 */
export async function dialNativeLane(
  resources: LaneResources,
  options: DialNativeOptions,
): Promise<Lane> {
  const { host, port } = options.address;
  // Fails before anybody is dialled.
  secureContext(options.credentials);
  return dialInSteps(options, async (run) => {
    const addresses = await resolveInStep(run, host);
    const label = describeTarget(host, port, addresses);
    const connecting = connectingBy(resources.plane);
    const socket = await run(`connecting to ${label}`, run.timeouts.connectMs, (signal) =>
      connectFirst({ addresses, port, label, use: 'lane', signal }, connecting),
    );
    return run('TLS handshake', run.timeouts.tlsMs, (signal) =>
      secure(resources, socket, options, signal),
    );
  });
}

function connectingBy(plane: NativePlane): Connecting<NativeSocket> {
  return {
    start({ port, localAddress }, host, { won, failed }) {
      const controller = new AbortController();
      const { signal } = controller;
      const connecting = connectSocket(plane, { to: { host, port }, localAddress, signal });
      void connecting.then(won, failed);
      return () => controller.abort(new LinkError('dial-aborted', 'this attempt is not needed'));
    },
    discard: (socket) => socket.close(),
  };
}

async function secure(
  resources: LaneResources,
  socket: NativeSocket,
  { address: { host, port }, credentials }: DialNativeOptions,
  signal: AbortSignal,
): Promise<Lane> {
  const raw = new RawSocket(resources.plane, socket);
  const servername = isIP(host) === 0 ? host : undefined;
  const label = formatHostPort(host, port);
  const established = await connectTls({ raw, credentials, servername, label, signal });
  return laneOf(resources, socket, established);
}
