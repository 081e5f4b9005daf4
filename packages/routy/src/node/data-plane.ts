import {
  type DialOptions,
  dialLane,
  type Lane,
  type LaneListener,
  type ListenOptions,
  listenLanes,
} from '@routy/link/transport';
import { dialNativeLane, laneResources, listenNativeLanes } from '@routy/linux/lanes';
import {
  loadNativePlane,
  type NativePlane,
  type NativePlaneLoaded,
  NativeSockets,
} from '@routy/linux/sockets';
import type { Config } from '../config/types.ts';
import type { DataPlaneStatus } from '../status/status.ts';

/** What carries bytes: the same on the wire, so that each node has the one it likes. */
export interface DataPlane {
  readonly status: DataPlaneStatus;
  /** Of clients and targets; sockets of Node where undefined. */
  readonly sockets: NativeSockets | undefined;
  /** @throws RoutyError as `dialLane` */
  dial(options: DialOptions): Promise<Lane>;
  /** @throws RoutyError as `listenLanes` */
  listen(options: ListenOptions): Promise<LaneListener>;
  /** Nothing begins on it any more; it goes when what it carries has ended. */
  close(): void;
}

/** The native plane of this process, or why it has none. */
export type LoadPlane = () => NativePlaneLoaded;

/** The one that is configured, or the portable one where that cannot be had. */
export function dataPlane(
  wanted: Config['node']['dataPlane'],
  load: LoadPlane = loadNativePlane,
): DataPlane {
  // "auto" is to mean the native one where there is one, once that has carried load for long.
  if (wanted !== 'native') return portable(null);
  const loaded = load();
  return 'missing' in loaded ? portable(loaded.missing) : native(loaded.plane);
}

function portable(reason: string | null): DataPlane {
  return {
    status: { inUse: 'portable', reason },
    sockets: undefined,
    dial: (options) => dialLane(options),
    listen: (options) => listenLanes(options),
    close: () => undefined,
  };
}

function native(plane: NativePlane): DataPlane {
  const resources = laneResources(plane);
  return {
    status: { inUse: 'native', reason: null },
    sockets: new NativeSockets(plane),
    // A proxy is talked to over a socket of Node.
    dial: (options) =>
      options.via === undefined ? dialNativeLane(resources, options) : dialLane(options),
    listen: (options) => listenNativeLanes(resources, options),
    close: () => plane.closeWhenIdle(),
  };
}
