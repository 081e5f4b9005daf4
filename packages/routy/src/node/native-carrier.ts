import { type DialOptions, dialLane, type ListenOptions } from '@routy/link/transport';
import { dialNativeLane, laneResources, listenNativeLanes } from '@routy/linux/lanes';
import { type NativePlane, NativeSockets } from '@routy/linux/sockets';

/** Lanes, clients and targets on the native plane. Apart from the rest, since `@routy/linux` is loaded with it. */
export function nativeCarrier(plane: NativePlane) {
  const resources = laneResources(plane);
  return {
    sockets: new NativeSockets(plane),
    // A proxy is talked to over a socket of Node.
    dial: (options: DialOptions) =>
      options.via === undefined ? dialNativeLane(resources, options) : dialLane(options),
    listen: (options: ListenOptions) => listenNativeLanes(resources, options),
    close: () => plane.closeWhenIdle(),
  };
}
