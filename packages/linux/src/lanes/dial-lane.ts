import { isIP } from 'node:net';
import {
  connectFirst,
  type DialStepsOptions,
  describeTarget,
  dialInSteps,
  type Lane,
  resolveInStep,
  secureContext,
  type TlsCredentials,
} from '@routy/link/transport';
import { formatHostPort } from '@routy/proto/base';
import type { NativeSocket } from '../sockets/native-socket.ts';
import { connectingBy } from '../sockets/native-sockets.ts';
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
