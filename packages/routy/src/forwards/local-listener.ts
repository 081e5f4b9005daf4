import { chmodSync, chownSync } from 'node:fs';
import { createServer, isIPv4, type Server, type Socket } from 'node:net';
import {
  carryUrgentInline,
  handOnNoDelay,
  listenFailure,
  type ReopenDelay,
  Reopener,
  removeStaleSocket,
  ServerGroup,
} from '@routy/link/transport';
import { type Address, RoutyError, type TcpAddress, type UnixAddress } from '@routy/proto/base';
import type { SocketAccess } from '../config/types.ts';
import { groupId, userId } from './accounts.ts';

export interface ListenerHandlers {
  /** A client connected; the socket is paused, half-open allowed, without Nagle's delay. */
  onSocket(socket: Socket): void;
  /** Listening began, ended or failed. */
  onState(): void;
  /** A connection could not be accepted (`EMFILE`, say): the listener is opened anew. */
  onAcceptError(error: RoutyError): void;
}

export interface ListenerOptions {
  readonly retryDelayMs: ReopenDelay;
}

/** A unix socket's server, or those of a TCP address. */
interface Closable {
  close(): void;
}

const UNIX_SOCKET_MODE = 0o660;
/** Nobody may connect to a socket until its owner and mode are what they should be. */
const NOBODY_UMASK = 0o777;
const BACKLOG = 1024;

/**
 * A local listening address that can be opened and closed any number of times. A failure, at first or
 * later, is shown in `error`, and {@link Reopener} opens it again until `close`. A port chosen by the system
 * (`:0`) is chosen once and kept. Of a name, every address of this machine is listened on.
 */
export class LocalListener {
  readonly #handlers: ListenerHandlers;
  readonly #options: ListenerOptions;
  #address: Address;
  #access: SocketAccess;
  #wanted = false;
  #server: Closable | undefined;
  #listening = false;
  #error: RoutyError | undefined;
  #reopener: Reopener | undefined;

  constructor(
    address: Address,
    handlers: ListenerHandlers,
    options: ListenerOptions,
    access: SocketAccess,
  ) {
    this.#access = access;
    this.#address = address;
    this.#handlers = handlers;
    this.#options = options;
  }

  /** The address, with the actual port once the system has chosen it. */
  get address(): Address {
    return this.#address;
  }

  /**
   * Where all of its clients connect to; undefined for a unix socket, and where one address stands for
   * several, so that each connection has to be asked.
   */
  get destination(): TcpAddress | undefined {
    const address = this.#address;
    const isOne = address.kind === 'tcp' && isIPv4(address.host) && address.host !== '0.0.0.0';
    return isOne ? address : undefined;
  }

  get listening(): boolean {
    return this.#listening;
  }

  /** Why the last attempt failed; undefined while listening or closed. */
  get error(): RoutyError | undefined {
    return this.#error;
  }

  /** Who may connect to a unix socket, from now on. */
  setAccess(access: SocketAccess): void {
    const { owner, group, mode } = this.#access;
    const same = owner === access.owner && group === access.group && mode === access.mode;
    this.#access = access;
    if (!same && this.#listening && this.#address.kind === 'unix') this.#admit(this.#address.path);
  }

  open(): void {
    if (this.#wanted) return;
    this.#wanted = true;
    this.#reopener = new Reopener(() => this.#attempt(true), this.#options.retryDelayMs);
    this.#attempt(true);
  }

  /** Stops listening at once; accepted connections live on. */
  close(): void {
    if (!this.#wanted) return;
    this.#wanted = false;
    this.#reopener?.stop();
    this.#error = undefined;
    this.#dropServer();
  }

  #dropServer(): void {
    const server = this.#server;
    this.#server = undefined;
    this.#listening = false;
    // libuv removes the file of a unix socket with its handle.
    server?.close();
  }

  #attempt(mayRemoveStale: boolean): void {
    if (this.#address.kind === 'tcp') void this.#attemptTcp(this.#address);
    else this.#attemptUnix(this.#address, mayRemoveStale);
  }

  async #attemptTcp(address: TcpAddress): Promise<void> {
    const group: ServerGroup = new ServerGroup(
      () => this.#newServer(),
      (error) => this.#onError(group, error, false),
    );
    this.#server = group;
    try {
      const port = await group.listen(address, BACKLOG);
      this.#onListening(group, { ...address, port });
    } catch (error) {
      this.#onError(group, error as NodeJS.ErrnoException, false);
    }
  }

  #attemptUnix(address: UnixAddress, mayRemoveStale: boolean): void {
    const server = this.#newServer();
    this.#server = server;
    server.on('listening', () => this.#onListening(server, address));
    server.on('error', (error) => this.#onError(server, error, mayRemoveStale));
    server.on('close', () => this.#onError(server, new Error('it was closed'), false));
    // A path is bound within `listen`: nobody but root can connect before `#admit`.
    const umask = process.umask(NOBODY_UMASK);
    try {
      server.listen({ path: address.path, backlog: BACKLOG });
    } finally {
      process.umask(umask);
    }
    if (server.listening) this.#admit(address.path);
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
      this.#reopener?.works();
      this.#handlers.onSocket(socket);
    });
    return server;
  }

  #admit(path: string): void {
    const { owner, group, mode } = this.#access;
    try {
      if (owner !== undefined || group !== undefined) {
        chownSync(path, userId(owner), groupId(group));
      }
      chmodSync(path, mode ?? UNIX_SOCKET_MODE);
    } catch (error) {
      this.#fail(accessFailure(path, error as NodeJS.ErrnoException));
    }
  }

  #onListening(server: Closable, address: Address): void {
    if (server !== this.#server) {
      server.close();
      return;
    }
    this.#address = address;
    this.#listening = true;
    this.#error = undefined;
    this.#handlers.onState();
  }

  #onError(server: Closable, error: NodeJS.ErrnoException, mayRemoveStale: boolean): void {
    if (server !== this.#server) return;
    if (this.#listening) {
      const failure = listenFailure(this.#address, error);
      this.#handlers.onAcceptError(failure);
      this.#fail(failure);
      return;
    }
    if (this.#address.kind === 'unix' && error.code === 'EADDRINUSE' && mayRemoveStale) {
      void this.#removeStaleThenAttempt(this.#address.path, server, error);
      return;
    }
    this.#fail(listenFailure(this.#address, error));
  }

  async #removeStaleThenAttempt(path: string, server: Closable, error: Error): Promise<void> {
    const removed = await removeStaleSocket(path);
    if (server !== this.#server) return;
    if (removed) this.#attempt(false);
    else this.#fail(listenFailure(this.#address, error));
  }

  #fail(error: RoutyError): void {
    this.#dropServer();
    this.#error = error;
    this.#reopener?.failed();
    this.#handlers.onState();
  }
}

const ACCESS_HINTS: Readonly<Record<string, string>> = {
  EPERM:
    'only root sets socket_owner, and socket_group to a group that the user is not in; leave them out or run it as root',
  ENOACCOUNT: 'take a name that this machine knows, or its number: getent passwd, getent group',
};

/** The socket is there, and its owner and mode are not what they should be. */
function accessFailure(path: string, cause: NodeJS.ErrnoException): RoutyError {
  const hint = ACCESS_HINTS[cause.code ?? ''];
  return new RoutyError('listen-failed', `cannot listen on ${path}: ${cause.message}`, {
    ...(hint === undefined ? {} : { hint }),
    cause,
  });
}
