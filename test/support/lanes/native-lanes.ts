import type { TlsCredentials } from '../../../packages/link/src/transport/lane.ts';
import type { TcpAddress } from '../../../packages/proto/src/base/address.ts';
import { dialNativeLane } from '../../../packages/linux/src/lanes/dial-lane.ts';
import {
  type LaneResources,
  laneResources,
} from '../../../packages/linux/src/lanes/lane-resources.ts';
import { NativeLane } from '../../../packages/linux/src/lanes/native-lane.ts';
import { RawSocket } from '../../../packages/linux/src/lanes/raw-socket.ts';
import { connectSocket } from '../../../packages/linux/src/sockets/connect.ts';
import { connectTls } from '../../../packages/linux/src/tls/handshake/connect-tls.ts';
import type { Established } from '../../../packages/linux/src/tls/handshake/handshake.ts';
import { RecordLayer } from '../../../packages/linux/src/tls/record-layer.ts';
import { listenNativeLanes } from '../../../packages/linux/src/lanes/listen-lanes.ts';
import { type LaneMaker, portableLanes } from './lane-pair.ts';
import { planeMissing, testPlane } from '../linux/native-plane.ts';

let shared: LaneResources | undefined;

/** On the plane of this test file. */
export function testLaneResources(): LaneResources {
  shared ??= laneResources(testPlane());
  return shared;
}

export const nativeLanes: LaneMaker = {
  dial: (options) => dialNativeLane(testLaneResources(), options),
  listen: (options) => listenNativeLanes(testLaneResources(), options),
};

/** All that this machine has. */
export const LANE_KINDS: Readonly<Record<string, LaneMaker>> = {
  'the portable plane': portableLanes,
  ...(planeMissing === undefined && { 'the native plane': nativeLanes }),
};

/** A native lane, and what no user of one sees. */
export interface BareLane {
  readonly lane: NativeLane;
  readonly layer: RecordLayer;
  readonly established: Established;
}

/** Dials without the steps of dialling, with limits that nobody waits for. */
export async function dialBare(
  { host, port }: TcpAddress,
  credentials: TlsCredentials,
  limits: { readonly recordsMax?: number; readonly lingerMs?: number } = {},
): Promise<BareLane> {
  const resources = testLaneResources();
  const { plane, aead } = resources;
  const socket = await connectSocket(plane, { to: { host, port } });
  const established = await connectTls({
    raw: new RawSocket(plane, socket),
    credentials,
    label: `${host}:${port}`,
    signal: AbortSignal.timeout(10_000),
  });
  const { recordsMax, lingerMs } = limits;
  const layer = new RecordLayer({
    ...established,
    aead,
    ...(recordsMax === undefined ? {} : { recordsMax }),
  });
  const lane = new NativeLane({
    ...established,
    ...resources,
    ...{ socket, layer, lingerMs },
    direction: 'dialled',
    remoteAddress: `${host}:${port}`,
    localAddress: 'here',
  });
  return { lane, layer, established };
}
