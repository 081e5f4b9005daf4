import { type TlsCredentials, type Transport, tlsTransport } from '@routy/link/transport';
import { loadNativePlane, type NativePlaneLoaded } from '../sockets/native-plane.ts';
import { dialNativeLane } from './dial-lane.ts';
import { laneResources } from './lane-resources.ts';
import { listenNativeLanes } from './listen-lanes.ts';

/** The transport, or why this process cannot have it, in one line. */
export type NativeTransportLoaded =
  | {
      /** On the wire the `tls` of the link; each end has the one it likes. */
      readonly transport: Transport;
      /** Nothing begins on it any more; what it holds goes when its lanes have ended. */
      close(): void;
    }
  | { readonly missing: string };

/**
 * Lanes of TLS 1.3 by system calls, for a link: `createLink({ credentials, transports: { tls } })`. They
 * need Linux on x64 or arm64, the main thread and koffi, an optional dependency; for where one of these is
 * missing the link has its own `tls`. Never throws.
 *
 * @param credentials As those of the link: a function is asked at every connection.
 * @param load Instead of what this process has, for tests.
 */
export function loadNativeTransport(
  credentials: TlsCredentials | (() => TlsCredentials),
  load: () => NativePlaneLoaded = loadNativePlane,
): NativeTransportLoaded {
  const loaded = load();
  if ('missing' in loaded) return loaded;
  const { plane } = loaded;
  const current = typeof credentials === 'function' ? credentials : () => credentials;
  const resources = laneResources(plane);
  return {
    transport: tlsTransport(current, {
      dial: (options) => dialNativeLane(resources, options),
      listen: (options) => listenNativeLanes(resources, options),
    }),
    close: () => plane.closeWhenIdle(),
  };
}
