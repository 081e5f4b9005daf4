/**
 * Bulk service. The client's first byte chooses: `U` to upload, which is counted, and the count
 * told as u64 little-endian every 50 ms; `D` to download until the client goes away.
 */
import type { Socket } from 'node:net';
import { DOWNLOAD, pump, REPORT_INTERVAL_MS, UPLOAD } from '../load/pump.ts';
import { announce, listenWithBuffer, type OnBytes } from './accept.ts';

const BUFFER_BYTES = 256 * 1024;

const { port } = await listenWithBuffer(BUFFER_BYTES, serve);
announce(port);

function serve(socket: Socket): OnBytes {
  let mode = 0;
  let received = 0;
  return (bytes) => {
    if (mode === 0) {
      mode = bytes[0] ?? 0;
      if (mode === DOWNLOAD) return pump(socket);
      if (mode !== UPLOAD) return void socket.destroy();
      reportEvery(socket, () => received);
    }
    received += bytes.length;
  };
}

function reportEvery(socket: Socket, received: () => number): void {
  const timer = setInterval(() => {
    const report = Buffer.alloc(8);
    report.writeBigUInt64LE(BigInt(received()));
    socket.write(report);
  }, REPORT_INTERVAL_MS);
  socket.once('close', () => clearInterval(timer));
}
