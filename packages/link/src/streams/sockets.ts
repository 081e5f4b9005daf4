import type { Socket } from 'node:net';

/** What Node has for a TCP socket and does not document; it may be missing. */
export interface SocketHandle {
  getpeername?(out: object): number;
  setKeepAlive?(enable: boolean, idleS: number, intervalS: number, count: number): number;
}

export function handleOf(socket: Socket): SocketHandle | null | undefined {
  return (socket as Socket & { _handle?: SocketHandle | null })._handle;
}

/**
 * A TCP socket, which has not ended, as opposed to a unix one. `remoteFamily` would tell as well, but
 * notes its answer in the socket, which then has another shape than those that were not asked. V8
 * gives up code that has seen only one shape: a few in a hundred make all connections cost more.
 */
export function isTcp(socket: Socket): boolean {
  return typeof handleOf(socket)?.getpeername === 'function';
}

/**
 * Has the system ask the other end, after so much silence and then each `intervalMs`, whether it is
 * there; the connection fails when `count` questions were in vain. Whole seconds. `socket.setKeepAlive`
 * would note the times in the socket, in some releases of Node under names that others do not have:
 * see {@link isTcp}. Node before 24 has an interval and a count of its own, 1 s and 10.
 */
export function askWhetherAlive(
  socket: Socket,
  idleMs: number,
  intervalMs: number,
  count: number,
): void {
  const handle = handleOf(socket);
  if (typeof handle?.setKeepAlive !== 'function') socket.setKeepAlive(true, idleMs);
  else handle.setKeepAlive(true, Math.trunc(idleMs / 1000), intervalMs / 1000, count);
}

/** Ends a connection so that its other end sees a reset; a unix socket has none and is closed. */
export function resetSocket(socket: Socket): void {
  if (socket.destroyed) return;
  // While connecting there is nobody to reset yet, and only TCP knows resets.
  if (socket.connecting || !isTcp(socket)) socket.destroy();
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
