import { readdirSync, readlinkSync } from 'node:fs';

/** What a process holds open. */
export interface Descriptors {
  readonly fds: number;
  readonly sockets: number;
}

/** Counts a process's file descriptors, from /proc. */
export function descriptorsOf(pid: number): Descriptors {
  const directory = `/proc/${pid}/fd`;
  const names = readdirSync(directory);
  let sockets = 0;
  for (const name of names) {
    if (linkTarget(`${directory}/${name}`).startsWith('socket:')) sockets += 1;
  }
  return { fds: names.length, sockets };
}

/** A descriptor may close between listing and looking. */
function linkTarget(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}
