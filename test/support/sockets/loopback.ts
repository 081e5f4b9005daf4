import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { Address } from '../../../packages/proto/src/base/address.ts';

/** Polls until the condition holds; fails with `what` after 30 s. */
export async function until(what: string, condition: () => boolean): Promise<void> {
  const endMs = performance.now() + 30_000;
  while (!condition()) {
    if (performance.now() > endMs) throw new Error(`waited in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

export interface TestServer {
  readonly address: Address;
  readonly port: number;
  readonly sockets: Set<Socket>;
  close(): Promise<void>;
}

/** A TCP or unix server that keeps half-open connections, with its sockets for the test to look at. */
export async function serve(
  onSocket: (socket: Socket) => void,
  listen: { port?: number; path?: string; host?: string } = {},
): Promise<TestServer> {
  const sockets = new Set<Socket>();
  const server: Server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => undefined);
    onSocket(socket);
  });
  server.listen(
    listen.path === undefined
      ? { host: listen.host ?? '127.0.0.1', port: listen.port ?? 0 }
      : listen,
  );
  await once(server, 'listening');
  const bound = server.address();
  const port = typeof bound === 'object' && bound !== null ? bound.port : 0;
  return {
    address:
      listen.path === undefined
        ? { kind: 'tcp', host: listen.host ?? '127.0.0.1', port }
        : { kind: 'unix', path: listen.path },
    port,
    sockets,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      if (server.listening) await once(server, 'close');
    },
  };
}

/** Answers with what it received. */
export function echo(socket: Socket): void {
  socket.pipe(socket);
}

export function dial(address: Address): Socket {
  const socket =
    address.kind === 'tcp'
      ? connect({ host: address.host, port: address.port, allowHalfOpen: true, noDelay: true })
      : connect({ path: address.path, allowHalfOpen: true });
  return socket;
}

export interface Outcome {
  readonly connected: boolean;
  readonly data: Buffer;
  /** The system's code: `ECONNRESET`, `ECONNREFUSED`; undefined after a clean end. */
  readonly error: string | undefined;
}

/** Connects and waits until the server has ended the connection, before ending it here. */
export function hear(address: Address): Promise<Outcome> {
  return converse(dial(address), () => undefined);
}

/** Connects, sends `payload` and the end, and waits until the connection is over. */
export function talk(address: Address, payload: string | Uint8Array = ''): Promise<Outcome> {
  return converse(dial(address), (socket) => socket.end(payload));
}

function converse(socket: Socket, onConnect: (socket: Socket) => void): Promise<Outcome> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let connected = false;
    let error: string | undefined;
    socket.on('connect', () => {
      connected = true;
      onConnect(socket);
    });
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    socket.on('end', () => socket.end());
    socket.on('error', (cause: NodeJS.ErrnoException) => {
      error = cause.code;
    });
    socket.on('close', () => resolve({ connected, data: Buffer.concat(chunks), error }));
  });
}
