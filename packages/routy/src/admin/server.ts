import { chmodSync, lstatSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { createConnection } from 'node:net';
import { type ReopenDelay, Reopener } from '@routy/link/transport';
import { errorText, RoutyError } from '@routy/proto/base';
import type { NodeControl } from '../status/control.ts';
import {
  answer,
  CONNECTIONS_MAX,
  closeServer,
  HttpError,
  type Routes,
  SERVER_OPTIONS,
} from './http.ts';
import { adminRoutes } from './routes.ts';

/** `sun_path` of Linux holds 108 bytes with its end mark; BSD's 104. */
const SOCKET_PATH_BYTES_MAX = 103;
/** How long an existing socket has to take a connection before it counts as living but stuck. */
const PROBE_MS = 2_000;

/** The admin socket of a running node. */
export interface AdminServer {
  readonly path: string;
  /** From now on requests reach the node; before, they are answered with `starting`. */
  serve(control: NodeControl): void;
  close(): Promise<void>;
}

export interface AdminHandlers {
  /**
   * The socket cannot be made (a full disk, a read-only directory) or has failed; it is made again
   * for ever.
   */
  onTrouble(error: RoutyError): void;
  /** It was made after all. */
  onMade(): void;
  readonly retryDelayMs: ReopenDelay;
}

/**
 * Listens on the admin socket, readable and writable by the owner only. It is taken before anything
 * else of a node starts, so it is also what keeps a second node off the same state directory. A
 * socket that cannot be made is no reason not to run.
 *
 * Rejects with `already-running` when another process answers there, with `admin-path` when the path
 * is too long or something else is there.
 */
export async function openAdminSocket(path: string, handlers: AdminHandlers): Promise<AdminServer> {
  if (Buffer.byteLength(path) > SOCKET_PATH_BYTES_MAX) {
    throw new RoutyError('admin-path', `the path of the admin socket is too long: ${path}`, {
      hint: `choose a state directory so that the whole path has at most ${SOCKET_PATH_BYTES_MAX} bytes`,
    });
  }
  let control: NodeControl | undefined;
  const routes = adminRoutes(() => {
    if (control === undefined) throw new HttpError(503, 'starting', 'the node is still starting');
    return control;
  });
  const socket = new AdminSocket(path, routes, handlers);
  await socket.open();
  return {
    path,
    serve: (running) => {
      control = running;
    },
    close: () => socket.close(),
  };
}

/** Errors that another attempt does not mend: somebody has to look. */
const FINAL: ReadonlySet<string> = new Set(['already-running', 'admin-path']);

class AdminSocket {
  readonly #path: string;
  readonly #routes: Routes;
  readonly #handlers: AdminHandlers;
  #server: Server | undefined;
  readonly #reopener: Reopener;
  #closed = false;

  constructor(path: string, routes: Routes, handlers: AdminHandlers) {
    this.#path = path;
    this.#routes = routes;
    this.#handlers = handlers;
    this.#reopener = new Reopener(() => void this.#retry(), handlers.retryDelayMs);
  }

  async open(): Promise<void> {
    try {
      await this.#attempt();
    } catch (error) {
      if (error instanceof RoutyError && FINAL.has(error.code)) throw error;
      this.#retryLater(error);
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#reopener.stop();
    if (this.#server !== undefined) await closeServer(this.#server);
  }

  async #attempt(): Promise<void> {
    await removeStale(this.#path);
    const server = createServer(SERVER_OPTIONS, (request, response) => {
      void answer(this.#routes, request, response);
    });
    server.maxConnections = CONNECTIONS_MAX;
    await listenPrivately(server, this.#path);
    this.#server = server;
    if (this.#closed) {
      await closeServer(server);
      return;
    }
    server.on('connection', () => this.#reopener.works());
    server.once('error', (error) => this.#handleDeath(server, error));
    server.once('close', () => this.#handleDeath(server, new Error('it was closed')));
  }

  #handleDeath(server: Server, error: Error): void {
    if (this.#closed || this.#server !== server) return;
    this.#server = undefined;
    server.close();
    this.#retryLater(error);
  }

  #retryLater(error: unknown): void {
    if (this.#closed) return;
    const trouble =
      error instanceof RoutyError
        ? error
        : new RoutyError('admin-socket', errorText(error), { hint: DIRECTORY_HINT, cause: error });
    this.#reopener.failed();
    this.#handlers.onTrouble(trouble);
  }

  async #retry(): Promise<void> {
    try {
      await this.#attempt();
      this.#handlers.onMade();
    } catch (error) {
      this.#retryLater(error);
    }
  }
}

const DIRECTORY_HINT =
  'the state directory must exist, have room and belong to the user that runs the node';

/** Binds under a umask that keeps others out from the first moment. */
function listenPrivately(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    // Stays, since an error without a listener would end the process.
    server.on('error', (error) => {
      const message = `cannot listen on ${path}: ${errorText(error)}`;
      reject(new RoutyError('admin-socket', message, { hint: DIRECTORY_HINT, cause: error }));
    });
    const umask = process.umask(0o177);
    try {
      server.listen(path, () => {
        chmodSync(path, 0o600);
        resolve();
      });
    } finally {
      process.umask(umask);
    }
  });
}

/** Removes a socket nobody listens on; refuses when somebody does or when it is something else. */
async function removeStale(path: string): Promise<void> {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isSocket()) {
    throw new RoutyError('admin-path', `${path} is in the way: it is not a socket`, {
      hint: 'move it away, then start again',
    });
  }
  if (await isAnswered(path)) {
    throw new RoutyError(
      'already-running',
      `another node already runs here: it answers at ${path}`,
      {
        hint: 'look at it with "routy status"; a second node needs its own state directory',
      },
    );
  }
  rmSync(path, { force: true });
}

/** True unless the connection is refused, which only happens when no process listens any more. */
function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection({ path, timeout: PROBE_MS });
    const settle = (answered: boolean): void => {
      socket.destroy();
      resolve(answered);
    };
    socket.once('connect', () => settle(true));
    socket.once('timeout', () => settle(true));
    socket.once('error', (error: NodeJS.ErrnoException) => {
      settle(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT');
    });
  });
}
