/** What the bulk client and the bulk service share. */
import type { Socket } from 'node:net';

export const UPLOAD = 'U'.charCodeAt(0);
export const DOWNLOAD = 'D'.charCodeAt(0);
/** How often the service tells how much of an upload has arrived. */
export const REPORT_INTERVAL_MS = 50;

const SOURCE_BYTES = 512 * 1024;
const source = new Uint8Array(SOURCE_BYTES).fill(0x5a);

/** Writes the same buffer again and again until the socket closes. */
export function pump(socket: Socket): void {
  const fill = () => {
    while (!socket.destroyed && socket.write(source));
  };
  socket.on('drain', fill);
  fill();
}
