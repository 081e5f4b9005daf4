import { createServer, type Server } from 'node:net';
import { NodeStreamSocket, type StreamSocket } from '@routy/link/streams';
import { carryUrgentInline, handOnNoDelay, ServerGroup } from '@routy/link/transport';
import type { Address } from '@routy/proto/base';

export interface LocalServerHandlers {
  /** A client connected; the socket is paused, half-open allowed, without Nagle's delay. */
  onSocket(socket: StreamSocket): void;
  /** After it listened: it does so no more, or is not to be trusted to. */
  onFault(error: Error): void;
}

/** Listens at a unix socket, or at every address of a host. */
export interface LocalServer {
  /**
   * The port; 0 for a unix socket, whose path is bound when this returns, before the promise is
   * fulfilled. Once.
   *
   * @throws the system's error
   */
  listen(address: Address, backlog: number): Promise<number>;
  /** Stops listening at once, and removes the file of a unix socket; connections live on. */
  close(): void;
}

/** Makes servers of the data plane in use. */
export type MakeLocalServer = (handlers: LocalServerHandlers) => LocalServer;

/** The one of the portable plane. */
export class NodeLocalServer implements LocalServer {
  readonly #handlers: LocalServerHandlers;
  /** Libuv removes the file of a unix socket with its handle. */
  #server: { close(): void } | undefined;

  constructor(handlers: LocalServerHandlers) {
    this.#handlers = handlers;
  }

  listen(address: Address, backlog: number): Promise<number> {
    if (address.kind === 'unix') return this.#listenUnix(address.path, backlog);
    const group = new ServerGroup(
      () => this.#newServer(),
      (error) => this.#handlers.onFault(error),
    );
    this.#server = group;
    return group.listen(address, backlog);
  }

  close(): void {
    this.#server?.close();
    this.#server = undefined;
  }

  #listenUnix(path: string, backlog: number): Promise<number> {
    const server = this.#newServer();
    this.#server = server;
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen({ path, backlog }, () => {
        const tell = (error: Error): void => {
          if (this.#server === server) this.#handlers.onFault(error);
        };
        server.off('error', reject);
        server.on('error', tell).once('close', () => tell(new Error('it was closed')));
        resolve(0);
      });
    });
  }

  #newServer(): Server {
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true });
    let handsOn = false;
    server.on('listening', () => {
      handsOn = handOnNoDelay(server);
      carryUrgentInline(server);
    });
    server.on('connection', (socket) => {
      if (!handsOn) socket.setNoDelay(true);
      this.#handlers.onSocket(new NodeStreamSocket(socket));
    });
    return server;
  }
}
