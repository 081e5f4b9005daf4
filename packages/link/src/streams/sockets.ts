import type { Socket } from 'node:net';

/** Ends a connection so that its other end sees a reset; a unix socket has none and is closed. */
export function resetSocket(socket: Socket): void {
  if (socket.destroyed) return;
  // While connecting there is nobody to reset yet, and only TCP knows resets.
  if (socket.connecting || socket.remoteFamily === undefined) socket.destroy();
  else if (isShuttingDown(socket)) socket.once('finish', () => resetSocket(socket));
  else socket.resetAndDestroy();
}

/**
 * True from the last byte written until the system has taken the half-close. In between libuv
 * refuses a reset with EINVAL, and the socket would stay open for ever.
 */
function isShuttingDown(socket: Socket): boolean {
  return socket.writableEnded && !socket.writableFinished && socket.writableLength === 0;
}
