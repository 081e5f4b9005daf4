import type { Server } from 'node:net';

/** What Node has for the listening socket of a TCP server and does not document; it may be missing. */
interface Handle {
  setNoDelay?(enable: boolean): number;
}

/**
 * The connections that a listening TCP server accepts from now on send small writes at once
 * (TCP_NODELAY). On Linux a connection has that from the socket which accepts it: one call in place of
 * one for each. False where it cannot be had in this way, and has to be set on each.
 */
export function handOnNoDelay(server: Server): boolean {
  if (process.platform !== 'linux') return false;
  const handle = (server as Server & { _handle?: Handle | null })._handle;
  return typeof handle?.setNoDelay === 'function' && handle.setNoDelay(true) === 0;
}
