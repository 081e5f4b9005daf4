import { dialLane } from '../../../packages/link/src/transport/dial.ts';
import type { Lane, TlsCredentials } from '../../../packages/link/src/transport/lane.ts';
import { type LaneListener, listenLanes } from '../../../packages/link/src/transport/listen.ts';
import type { TcpAddress } from '../../../packages/proto/src/base/address.ts';
import { LOOPBACK } from '../../support/lanes/lane-pair.ts';

/** Holds the keys of two nodes and stands between them: an attacker who knows everything. */
export interface LaneRelay {
  readonly address: TcpAddress;
  /** Ends every lane at once. */
  cut(): void;
  close(): Promise<void>;
}

/** Listens in place of `listener` and dials it in the name of `dialler`. */
export async function startLaneRelay(options: {
  readonly dialler: TlsCredentials;
  readonly listener: TlsCredentials;
  readonly target: TcpAddress;
}): Promise<LaneRelay> {
  const lanes = new Set<Lane>();
  const join = async (accepted: Lane): Promise<void> => {
    lanes.add(accepted);
    const dialled = await dialLane({ address: options.target, credentials: options.dialler });
    lanes.add(dialled);
    carry(accepted, dialled, lanes);
    carry(dialled, accepted, lanes);
  };
  const listener: LaneListener = await listenLanes({
    address: LOOPBACK,
    credentials: () => options.listener,
    handlers: {
      onLane: (lane) => void join(lane).catch(() => lane.destroy()),
      onRefused: () => {},
      onEnrol: (socket) => socket.destroy(),
      onError: () => {},
    },
  });
  const cut = (): void => {
    for (const lane of lanes) lane.destroy();
    lanes.clear();
  };
  return {
    address: listener.address,
    cut,
    close: async () => {
      cut();
      await listener.close();
    },
  };
}

function carry(from: Lane, to: Lane, lanes: Set<Lane>): void {
  from.bind({
    onData: (chunk) => {
      if (!to.write([chunk])) from.pause();
    },
    // Room at this lane's end: whoever fills it may go on.
    onDrain: () => to.resume(),
    onClose: () => {
      lanes.delete(from);
      to.end();
    },
  });
}
