import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';

export interface CuttingOptions {
  /** Bytes are passed on in parts of so many, a turn of the event loop between them. */
  readonly stride?: number;
  /** So many bytes of the server, or of the client, pass before the connection is cut off. */
  readonly server?: number;
  readonly client?: number;
  /** `end`: both are hung up on; `reset`: with a reset; `stall`: nothing passes any more. */
  readonly how?: 'end' | 'reset' | 'stall';
}

export interface CuttingRelay {
  readonly port: number;
  close(): void;
}

/** Relays connections to `port` and cuts what passes into parts, or cuts it off. */
export async function cuttingRelay(
  port: number,
  options: CuttingOptions = {},
): Promise<CuttingRelay> {
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true, allowHalfOpen: true }, (client) => {
    const target = connect({ port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true });
    for (const socket of [client, target]) {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        sockets.delete(socket);
        (socket === client ? target : client).destroy();
      });
    }
    const cut = () => {
      for (const socket of [client, target]) {
        if (options.how === 'end') socket.end();
        else if (options.how === 'reset') socket.resetAndDestroy();
      }
    };
    void pass(client, target, options.client, options, cut);
    void pass(target, client, options.server, options, cut);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const close = () => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  return { port: (server.address() as { port: number }).port, close };
}

async function pass(
  from: Socket,
  to: Socket,
  limit = Number.POSITIVE_INFINITY,
  { stride = Number.POSITIVE_INFINITY }: CuttingOptions,
  cut: () => void,
): Promise<void> {
  let left = limit;
  try {
    for await (const chunk of from as AsyncIterable<Buffer>) {
      for (let at = 0; at < chunk.length; at += stride) {
        const part = chunk.subarray(at, Math.min(at + stride, at + left, chunk.length));
        if (part.length > 0 && to.writable) to.write(part);
        left -= part.length;
        if (left === 0) {
          left = -1;
          cut();
        }
        if (left < 0) break;
        if (stride < chunk.length) await nextTurn();
      }
    }
  } catch {
    // Its end was told by `close`.
  }
  if (left > 0) to.end();
}
