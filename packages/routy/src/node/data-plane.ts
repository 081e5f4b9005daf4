import { dialLane, listenLanes, type TlsLanes } from '@routy/link/transport';
import { errorText } from '@routy/proto/base';
import type { NativePlaneLoaded, NativeSockets } from '@routy/linux/sockets';
import type { Config } from '../config/types.ts';
import type { DataPlaneStatus } from '../status/status.ts';

type Configured = Config['node']['dataPlane'];

/** What carries bytes: the same on the wire, so that each node has the one it likes. */
export interface DataPlane extends TlsLanes {
  readonly status: DataPlaneStatus;
  /** Of clients and targets; sockets of Node where undefined. */
  readonly sockets: NativeSockets | undefined;
  /** Nothing begins on it any more; it goes when what it carries has ended. */
  close(): void;
}

/** The native plane of this process, or why it has none. Never rejects. */
export type LoadPlane = () => NativePlaneLoaded | Promise<NativePlaneLoaded>;

/** The one that is configured, or the portable one where that cannot be had. */
export async function dataPlane(
  configured: Configured,
  load: LoadPlane = loadPlane,
): Promise<DataPlane> {
  if (!wantsNative(configured)) return portable(planeStatus(configured, null));
  const loaded = await load();
  if ('missing' in loaded) return portable(planeStatus(configured, loaded.missing));
  const { nativeCarrier } = await import('./native-carrier.ts');
  return { status: planeStatus(configured, null), ...nativeCarrier(loaded.plane) };
}

/**
 * What a node runs on, and why, by what is configured and by what keeps this machine from the native
 * plane, if anything does. `auto` is to mean the native one where there is one, once that has carried
 * load for long.
 */
export function planeStatus(configured: Configured, missing: string | null): DataPlaneStatus {
  if (!wantsNative(configured)) return { configured, inUse: 'portable', reason: null };
  return { configured, inUse: missing === null ? 'native' : 'portable', reason: missing };
}

function wantsNative(configured: Configured): boolean {
  return configured === 'native';
}

/**
 * Whether this machine has the native plane, which is optional as a package, too: nothing of it is
 * loaded for a node that does not ask for it.
 */
export async function loadPlane(): Promise<NativePlaneLoaded> {
  try {
    const { loadNativePlane } = await import('@routy/linux/sockets');
    return loadNativePlane();
  } catch (error) {
    return { missing: `@routy/linux does not load: ${errorText(error)}` };
  }
}

function portable(status: DataPlaneStatus): DataPlane {
  return {
    status,
    sockets: undefined,
    dial: (options) => dialLane(options),
    listen: (options) => listenLanes(options),
    close: () => undefined,
  };
}
