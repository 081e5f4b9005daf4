import { constants, fstatSync, openSync, writeSync } from 'node:fs';
import { Socket } from 'node:net';

/** Takes bytes at once, or says with `EAGAIN` that it cannot now; never waits. */
export interface Output {
  /** Writes a beginning of the bytes and says how many; throws what write(2) says. */
  write(bytes: Uint8Array): number;
}

/**
 * A standard stream to write to without ever waiting for whoever reads it. Whether a write waits is
 * a property of the open file, which other processes may share: a pipe or a terminal is opened anew
 * (Linux), so that only this process has it so. A socket cannot be opened anew, and neither can what
 * belongs to another user; that is set, and Node sets it back when the process ends. A file takes
 * what it is given, or fails.
 */
export function openOutput(fd: 1 | 2): Output {
  const stats = fstatSync(fd);
  const own = stats.isFIFO() || stats.isCharacterDevice() ? reopen(fd) : undefined;
  if (own === undefined && (stats.isFIFO() || stats.isSocket())) waitNoMore(fd);
  return { write: (bytes) => writeSync(own ?? fd, bytes) };
}

function reopen(fd: number): number | undefined {
  const { O_WRONLY, O_NONBLOCK, O_NOCTTY, O_APPEND } = constants;
  try {
    return openSync(`/proc/self/fd/${fd}`, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_APPEND);
  } catch {
    return undefined;
  }
}

/** A handle of Node's does this to a pipe or socket; it is never read or written, nor closed. */
function waitNoMore(fd: number): void {
  try {
    const handle = new Socket({ fd, readable: false, writable: true });
    handle.on('error', () => undefined).unref();
  } catch {
    // `process.stdout` has bytes under way there, and has done it already.
  }
}
