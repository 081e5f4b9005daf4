import type { Server } from 'node:net';
import type { TcpAddress } from '@routy/proto/base';
import { listenEverywhere } from './listen-everywhere.ts';

/**
 * The listening sockets of one address: one for a literal, for a name one at each of its addresses
 * that this machine has. Clients choose among the addresses of `localhost` as they like.
 */
export class ServerGroup {
  readonly #create: () => Server;
  readonly #onFault: (error: Error) => void;
  #servers: Server[] = [];
  #listening = false;
  #closed = false;

  /** `onFault` hears of what happens to a server after it listens; not of its end by `close`. */
  constructor(create: () => Server, onFault: (error: Error) => void) {
    this.#create = create;
    this.#onFault = onFault;
  }

  /**
   * Listens at every address and returns the port. When one cannot be had, none is left open. Once.
   *
   * @throws the system's error
   */
  async listen({ host, port }: TcpAddress, backlog?: number): Promise<number> {
    const bound = await listenEverywhere(
      { host, port },
      {
        listen: (where) => this.#add({ ...where, ...(backlog !== undefined && { backlog }) }),
        closeAll: () => this.#closeAll(),
      },
    );
    this.#listening = true;
    return bound;
  }

  /** Stops listening at once; connections live on. */
  close(): void {
    this.#closed = true;
    this.#closeAll();
  }

  #add(where: { host: string; port: number; backlog?: number }): Promise<number> {
    return new Promise((resolve, reject) => {
      const server = this.#create();
      server.once('error', reject);
      server.listen(where, () => {
        server.off('error', reject);
        this.#servers.push(server);
        this.#watch(server);
        if (this.#closed) this.#closeAll();
        const bound = server.address();
        resolve(bound !== null && typeof bound === 'object' ? bound.port : where.port);
      });
    });
  }

  #watch(server: Server): void {
    const tell = (error: Error): void => {
      if (this.#listening && this.#servers.includes(server)) this.#onFault(error);
    };
    server.on('error', tell);
    server.once('close', () => tell(new Error('it was closed')));
  }

  #closeAll(): void {
    const servers = this.#servers;
    this.#servers = [];
    for (const server of servers) server.close();
  }
}
