import { constants } from 'node:fs';
import { lstat, unlink } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';

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

/**
 * Removes a unix socket file that no process listens on, as a killed process leaves it. False when
 * somebody listens there or the file is not a socket: it is then left alone.
 */
export async function removeStaleSocket(path: string): Promise<boolean> {
  const stats = await lstat(path).catch(() => undefined);
  if (stats === undefined) return true;
  if ((stats.mode & constants.S_IFMT) !== constants.S_IFSOCK) return false;
  if (await isAnswering(path)) return false;
  await unlink(path).catch(() => undefined);
  return true;
}

function isAnswering(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect({ path });
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    // Anything but a plain refusal (a full backlog, say) means that somebody is there.
    probe.once('error', (error: NodeJS.ErrnoException) => {
      resolve(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT');
    });
  });
}
