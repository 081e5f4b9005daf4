import { createServer, type Server, type ServerOpts, type Socket } from 'node:net';
import type { RoutyError, TcpAddress } from '@routy/proto/base';
import { KEEP_ALIVE_MS } from './connect.ts';
import { listenFailure } from './listen-failure.ts';
import { Reopener } from './reopener.ts';
import { ServerGroup } from './server-group.ts';

/** Before a listener that died is opened again, in ms: doubled from the first to the last. */
export interface ReopenDelays {
  /** Before the first attempt. */
  readonly baseMs: number;
  /** At most. */
  readonly capMs: number;
}

export const REOPEN_DELAYS: ReopenDelays = { baseMs: 100, capMs: 5000 };

export interface ListeningSocketOptions {
  readonly address: TcpAddress;
  readonly delays?: ReopenDelays | undefined;
  onConnection(socket: Socket): void;
  /** The listener died or could not be opened again; it goes on trying. */
  onError(error: RoutyError): void;
  /** The listener is open again after `onError`. */
  onReopened(): void;
  /** One for each address; a TCP server unless it is another kind. */
  readonly createServer?: (options: ServerOpts) => Server;
}

/**
 * A TCP listener, at every address of its host, that never dies silently: when accepting fails (out
 * of descriptors, the interface went away) it reports and is opened again by {@link Reopener}, until
 * `close` is called.
 */
export class ListeningSocket {
  readonly #options: ListeningSocketOptions;
  /** Port 0 becomes the port that was given, so that it stays the same when reopened. */
  #address: TcpAddress;
  #group: ServerGroup | undefined;
  readonly #reopener: Reopener;
  #closed = false;
  #error: RoutyError | undefined;

  constructor(options: ListeningSocketOptions) {
    this.#options = options;
    this.#address = options.address;
    const { baseMs, capMs } = options.delays ?? REOPEN_DELAYS;
    this.#reopener = new Reopener(
      () => this.#reopen(),
      (failure) => Math.min(capMs, baseMs * 2 ** Math.min(failure - 1, 20)),
    );
  }

  /** Where it listens, with the port that was given for port 0. */
  get address(): TcpAddress {
    return this.#address;
  }

  /** Why it is not listening right now. */
  get error(): RoutyError | undefined {
    return this.#error;
  }

  /**
   * @throws RoutyError `listen-in-use`, `listen-denied`, `listen-no-address`, `listen-exhausted`,
   *   `listen-failed`
   */
  async open(): Promise<void> {
    const group: ServerGroup = new ServerGroup(
      () => this.#newServer(),
      (error) => this.#handleDeath(group, error),
    );
    let port: number;
    try {
      port = await group.listen(this.#address);
    } catch (error) {
      throw listenFailure(this.#address, error);
    }
    if (this.#closed) {
      group.close();
      return;
    }
    this.#group = group;
    this.#address = { ...this.#address, port };
  }

  /** As `open`, but a failure counts as a death: it is reported, and opening is tried again. */
  async insist(): Promise<void> {
    await this.open().catch((error: RoutyError) => {
      if (!this.#closed) this.#reopenLater(error);
    });
  }

  /** Stops listening; resolves at once, connections live on. */
  close(): void {
    this.#closed = true;
    this.#reopener.stop();
    this.#group?.close();
    this.#group = undefined;
  }

  #newServer(): Server {
    const server = (this.#options.createServer ?? createServer)({
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEP_ALIVE_MS,
    });
    server.on('connection', (socket: Socket) => {
      this.#reopener.works();
      this.#options.onConnection(socket);
    });
    return server;
  }

  #handleDeath(group: ServerGroup, error: Error): void {
    if (this.#closed || this.#group !== group) return;
    this.#group = undefined;
    group.close();
    this.#reopenLater(listenFailure(this.#address, error));
  }

  #reopenLater(error: RoutyError): void {
    this.#error = error;
    this.#reopener.failed();
    this.#options.onError(error);
  }

  #reopen(): void {
    this.open().then(
      () => {
        if (this.#closed) return;
        this.#error = undefined;
        this.#options.onReopened();
      },
      (error: RoutyError) => {
        if (!this.#closed) this.#reopenLater(error);
      },
    );
  }
}
