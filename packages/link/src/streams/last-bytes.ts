import type { Socket } from 'node:net';

/**
 * What came for a socket before the other end was reset goes out before the socket is reset, as long
 * as whoever reads it takes some of it in this time.
 */
const PATIENCE_MS = 5_000;

/**
 * Calls `onStuck` if the socket takes nothing for too long. The timer of a socket sees each byte that
 * the system takes, also in the middle of a large write.
 */
export function awaitLastBytes(socket: Socket, onStuck: () => void): void {
  socket.setTimeout(PATIENCE_MS, onStuck);
}
