import { constants } from 'node:fs';
import { lstat, unlink } from 'node:fs/promises';
import { connect } from 'node:net';

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
