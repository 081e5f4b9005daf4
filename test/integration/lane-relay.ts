import type { TcpAddress } from '../../src/base/address.ts';
import { dialLane } from '../../src/transport/dial.ts';
import type { Lane, TlsCredentials } from '../../src/transport/lane.ts';
import { type LaneListener, listenLanes } from '../../src/transport/listen.ts';
import { LOOPBACK } from '../support/lane-pair.ts';

/** Most bytes kept of one lane: a session begins long before that. */
const RECORDED_BYTES_MAX = 1024 * 1024;

/** What went over one lane, in the clear, from its beginning. */
export interface Recording {
  readonly dialler: Uint8Array[];
  readonly listener: Uint8Array[];
}

/** Holds the keys of two nodes and stands between them: an attacker who knows everything. */
export interface LaneRelay {
  readonly address: TcpAddress;
  /** By lane, in the order they came. */
  readonly recordings: readonly Recording[];
  /** Ends every lane at once. */
  cut(): void;
  close(): Promise<void>;
}

/** Listens in place of `listener`, dials it in the name of `dialler`, and keeps what is said. */
export async function startLaneRelay(options: {
  readonly dialler: TlsCredentials;
  readonly listener: TlsCredentials;
  readonly target: TcpAddress;
}): Promise<LaneRelay> {
  const recordings: Recording[] = [];
  const lanes = new Set<Lane>();
  const join = async (accepted: Lane): Promise<void> => {
    lanes.add(accepted);
    const recording: Recording = { dialler: [], listener: [] };
    recordings.push(recording);
    const dialled = await dialLane({ address: options.target, credentials: options.dialler });
    lanes.add(dialled);
    carry(accepted, dialled, recording.dialler, lanes);
    carry(dialled, accepted, recording.listener, lanes);
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
    recordings,
    cut,
    close: async () => {
      cut();
      await listener.close();
    },
  };
}

function carry(from: Lane, to: Lane, recorded: Uint8Array[], lanes: Set<Lane>): void {
  let bytes = 0;
  from.bind({
    onData: (chunk) => {
      if (bytes < RECORDED_BYTES_MAX) recorded.push(chunk.slice());
      bytes += chunk.length;
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
