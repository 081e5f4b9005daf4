import { lookup } from 'node:dns/promises';
import { isIP, type Server } from 'node:net';
import type { TcpAddress } from '@routy/proto/base';
import { systemCode } from '../failures.ts';

/** Both loopback addresses, whatever the name server or /etc/hosts know of (RFC 6761 §6.3). */
const LOCALHOST = ['127.0.0.1', '::1'];

/** This machine does not have the address, or not its family. */
const ABSENT: ReadonlySet<string | undefined> = new Set(['EADDRNOTAVAIL', 'EAFNOSUPPORT']);

/** How often the system may choose a port that is free at one address of a name only. */
const PORT_CHOICES = 5;

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
    const hosts = await addressesOf(host);
    for (let choice = 1; ; choice++) {
      try {
        const bound = await this.#listenAt(hosts, port, backlog);
        this.#listening = true;
        return bound;
      } catch (error) {
        this.#closeAll();
        if (port !== 0 || systemCode(error) !== 'EADDRINUSE' || choice === PORT_CHOICES)
          throw error;
      }
    }
  }

  /** Stops listening at once; connections live on. */
  close(): void {
    this.#closed = true;
    this.#closeAll();
  }

  async #listenAt(hosts: readonly string[], port: number, backlog?: number): Promise<number> {
    let chosen = port;
    let absent: unknown;
    for (const host of hosts) {
      try {
        chosen = await this.#add({ host, port: chosen, ...(backlog !== undefined && { backlog }) });
      } catch (error) {
        // Of a name it may be another machine's address, or of a family that is switched off here.
        if (!ABSENT.has(systemCode(error))) throw error;
        absent ??= error;
      }
    }
    if (this.#servers.length === 0 && absent !== undefined) throw absent;
    return chosen;
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

async function addressesOf(host: string): Promise<readonly string[]> {
  if (isIP(host) !== 0) return [host];
  if (host.toLowerCase() === 'localhost') return LOCALHOST;
  const found = await lookup(host, { all: true, verbatim: true });
  return [...new Set(found.map(({ address }) => address))];
}
