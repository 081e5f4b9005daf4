import { once } from 'node:events';
import type { Server, Socket } from 'node:net';

/** Has a server listen on a free port of 127.0.0.1; `closers` get what ends it and its connections. */
export async function listening(server: Server, closers: (() => void)[]): Promise<number> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  closers.push(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return (server.address() as { port: number }).port;
}
