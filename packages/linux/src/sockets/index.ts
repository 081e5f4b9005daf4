export { type ConnectOptions, connectSocket } from './connect.ts';
export { NativeEndpoint } from './native-endpoint.ts';
export { NativeListener, type NativeListenerOptions } from './native-listener.ts';
export {
  loadNativePlane,
  type NativePlane,
  type NativePlaneLoaded,
  type NativePlaneOptions,
} from './native-plane.ts';
export type { NativeSocket, SocketHandlers } from './native-socket.ts';
export {
  type NativeServer,
  type NativeServerHandlers,
  NativeSockets,
} from './native-sockets.ts';
export { NativeStreamSocket } from './native-stream-socket.ts';
export { SilenceWatch } from './silence.ts';
