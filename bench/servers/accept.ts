import { createServer, type Server, type Socket, Socket as TcpSocket } from 'node:net';

/** Reads a socket's bytes from a buffer that is used again as soon as the call returns. */
export type OnBytes = (bytes: Uint8Array, socket: Socket) => void;

/**
 * A TCP server on 127.0.0.1 whose sockets all read into one buffer.
 *
 * `net.createServer` offers no `onread`, and allocating 64 KiB for every read makes a sink dearer
 * than the tunnel it measures. So the accepted handle is given to a socket made with `onread`.
 */
export function listenWithBuffer(
  bufferSize: number,
  onSocket: (socket: Socket) => OnBytes,
): Promise<{ server: Server; port: number }> {
  const buffer = new Uint8Array(bufferSize);
  const server = createServer({ pauseOnConnect: true, noDelay: true }, (accepted) => {
    const inner = accepted as unknown as { _handle: unknown };
    const handle = inner._handle;
    inner._handle = null;
    let onBytes: OnBytes;
    const socket: Socket = new TcpSocket({
      handle,
      onread: {
        buffer,
        callback: (length: number) => {
          onBytes(buffer.subarray(0, length), socket);
          return true;
        },
      },
    } as ConstructorParameters<typeof TcpSocket>[0]);
    // A load generator that ends cuts its connections; that is no event for a server.
    socket.on('error', () => socket.destroy());
    onBytes = onSocket(socket);
    socket.resume();
  });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, () => {
      const address = server.address();
      if (address === null || typeof address === 'string') throw new Error('no address');
      resolve({ server, port: address.port });
    });
  });
}

/**
 * Prints the port as the answer to a command that was never asked, and ends the process when the
 * bench closes standard input.
 */
export function announce(port: number): void {
  process.stdout.write(`${JSON.stringify({ id: 0, result: { port } })}\n`);
  process.stdin.resume();
  process.stdin.once('end', () => process.exit(0));
}
