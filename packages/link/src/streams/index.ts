export type { ByteReceiver, ByteStream } from './byte-stream.ts';
export { keepAlive } from './keepalive.ts';
export { keepReadable } from './kept-readable.ts';
export { type EndpointSide, SocketEndpoint } from './socket-endpoint.ts';
export { isGone, type Watched, watch } from './socket-watch.ts';
export { removeStaleSocket, resetSocket } from './sockets.ts';
export type { StreamEnd } from './stream-end.ts';
