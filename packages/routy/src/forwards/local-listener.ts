import { chmodSync, chownSync } from 'node:fs';
import { isIPv4 } from 'node:net';
import type { StreamSocket } from '@routy/link/streams';
import {
  listenFailure,
  type ReopenDelay,
  Reopener,
  removeStaleSocket,
} from '@routy/link/transport';
import { type Address, RoutyError, type TcpAddress } from '@routy/proto/base';
import type { SocketAccess } from '../config/types.ts';
import { groupId, userId } from './accounts.ts';
import {
  type LocalServer,
  type LocalServerHandlers,
  type MakeLocalServer,
  NodeLocalServer,
} from './local-server.ts';

export interface ListenerHandlers {
  /** A client connected; the socket is paused, half-open allowed, without Nagle's delay. */
  onSocket(socket: StreamSocket): void;
  /** Listening began, ended or failed. */
  onState(): void;
  /** A connection could not be accepted (`EMFILE`, say): the listener is opened anew. */
  onAcceptError(error: RoutyError): void;
}

export interface ListenerOptions {
  readonly retryDelayMs: ReopenDelay;
  /** Of sockets of Node when left out. */
  readonly makeServer?: MakeLocalServer | undefined;
}

const UNIX_SOCKET_MODE = 0o660;
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
  #server: LocalServer | undefined;
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
    this.#reopener = new Reopener(() => void this.#attempt(true), this.#options.retryDelayMs);
    void this.#attempt(true);
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
    server?.close();
  }

  async #attempt(mayRemoveStale: boolean): Promise<void> {
    const server = this.#newServer();
    this.#server = server;
    const address = this.#address;
    try {
      const port = await listenUnseen(server, address);
      if (address.kind === 'unix' && server === this.#server) this.#admit(address.path);
      this.#onListening(server, address.kind === 'unix' ? address : { ...address, port });
    } catch (error) {
      this.#onError(server, error as NodeJS.ErrnoException, mayRemoveStale);
    }
  }

  #newServer(): LocalServer {
    const handlers: LocalServerHandlers = {
      onSocket: (socket) => this.#onSocket(socket),
      onFault: (error) => this.#onError(server, error, false),
    };
    const server = this.#options.makeServer?.(handlers) ?? new NodeLocalServer(handlers);
    return server;
  }

  #onSocket(socket: StreamSocket): void {
    this.#reopener?.works();
    this.#handlers.onSocket(socket);
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

  #onListening(server: LocalServer, address: Address): void {
    if (server !== this.#server) {
      server.close();
      return;
    }
    this.#address = address;
    this.#listening = true;
    this.#error = undefined;
    this.#handlers.onState();
  }

  #onError(server: LocalServer, error: NodeJS.ErrnoException, mayRemoveStale: boolean): void {
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

  async #removeStaleThenAttempt(path: string, server: LocalServer, error: Error): Promise<void> {
    const removed = await removeStaleSocket(path);
    if (server !== this.#server) return;
    if (removed) void this.#attempt(false);
    else this.#fail(listenFailure(this.#address, error));
  }

  #fail(error: RoutyError): void {
    this.#dropServer();
    this.#error = error;
    this.#reopener?.failed();
    this.#handlers.onState();
  }
}

/**
 * Nobody but root can connect to a unix socket before its owner and mode are what they should be: its
 * path is bound within `listen`.
 */
function listenUnseen(server: LocalServer, address: Address): Promise<number> {
  if (address.kind === 'tcp') return server.listen(address, BACKLOG);
  const umask = process.umask(NOBODY_UMASK);
  try {
    return server.listen(address, BACKLOG);
  } finally {
    process.umask(umask);
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
