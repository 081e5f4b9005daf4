export { keepAlive } from './keepalive.ts';
export { keepReadable } from './kept-readable.ts';
export { isGone, type Watched, watch } from './socket-watch.ts';
export { removeStaleSocket, resetSocket } from './sockets.ts';
export type { StreamEnd } from './stream-end.ts';
