/** The services behind the nodes, in a process of their own. Prints the ports as JSON. */
import { type AddressInfo, createServer, type Socket } from 'node:net';

const PIECE = Buffer.alloc(64 * 1024, 0x5a);

function serve(onSocket: (socket: Socket) => void): Promise<number> {
  const server = createServer({ noDelay: true, allowHalfOpen: false }, (socket) => {
    socket.on('error', () => {});
    onSocket(socket);
  });
  return new Promise((resolve) => {
    server.listen({ port: 0, host: '127.0.0.1', backlog: 1024 }, () =>
      resolve((server.address() as AddressInfo).port),
    );
  });
}

function pour(socket: Socket): void {
  const go = (): void => {
    while (!socket.destroyed && socket.write(PIECE));
  };
  socket.on('drain', go).resume();
  go();
}

const ports = {
  echo: await serve((socket) => socket.pipe(socket)),
  sink: await serve((socket) => socket.resume()),
  source: await serve(pour),
  stuck: await serve((socket) => socket.pause()),
};
process.send?.(ports);
process.on('disconnect', () => process.exit(0));

export type TargetPorts = typeof ports;
