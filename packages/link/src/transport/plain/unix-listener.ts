import { chmodSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import type { RoutyError, UnixAddress } from '@routy/proto/base';
import { systemCode } from '../failures.ts';
import { listenFailure } from '../tcp/listen-failure.ts';
import { REOPEN_DELAYS } from '../tcp/listening-socket.ts';
import { Reopener } from '../tcp/reopener.ts';
import { removeStaleSocket } from '../tcp/stale-socket.ts';

/** Only the user of this process may connect: who connects is believed. */
const MODE = 0o600;
/** Nobody may connect to the socket until its mode is what it should be. */
const NOBODY_UMASK = 0o777;

interface UnixListenerOptions {
  readonly address: UnixAddress;
  onConnection(socket: Socket): void;
  /** The listener died; it goes on trying. */
  onError(error: RoutyError): void;
  onReopened(): void;
}

/** A unix socket that is listened on, and opened again when it dies, until it is closed. */
export class UnixListener {
  readonly address: UnixAddress;
  readonly #options: UnixListenerOptions;
  readonly #reopener: Reopener;
  #server: Server | undefined;
  #closed = false;

  constructor(options: UnixListenerOptions) {
    this.address = options.address;
    this.#options = options;
    const { baseMs, capMs } = REOPEN_DELAYS;
    this.#reopener = new Reopener(
      () => this.#reopen(),
      (failure) => Math.min(capMs, baseMs * 2 ** Math.min(failure - 1, 20)),
    );
  }

  /** @throws LinkError `listen-…` */
  async open(): Promise<void> {
    try {
      await this.#listen();
    } catch (error) {
      const isInUse = systemCode(error) === 'EADDRINUSE';
      if (!isInUse || !(await removeStaleSocket(this.address.path))) {
        throw listenFailure(this.address, error);
      }
      await this.#listen().catch((again: unknown) => {
        throw listenFailure(this.address, again);
      });
    }
  }

  /** Stops listening; the file goes, connections live on. */
  close(): void {
    this.#closed = true;
    this.#reopener.stop();
    this.#server?.close();
    this.#server = undefined;
  }

  #listen(): Promise<void> {
    const server = createServer();
    server.on('connection', (socket) => {
      this.#reopener.works();
      this.#options.onConnection(socket);
    });
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.once('listening', () => {
        server.off('error', reject);
        server.on('error', (error) => this.#died(server, error));
        if (this.#closed) server.close();
        else this.#server = server;
        resolve();
      });
      const umask = process.umask(NOBODY_UMASK);
      try {
        server.listen({ path: this.address.path });
      } finally {
        process.umask(umask);
      }
      if (!server.listening) return;
      try {
        chmodSync(this.address.path, MODE);
      } catch (error) {
        server.close();
        reject(error as Error);
      }
    });
  }

  #died(server: Server, error: Error): void {
    if (this.#closed || this.#server !== server) return;
    this.#server = undefined;
    server.close();
    this.#failed(listenFailure(this.address, error));
  }

  #failed(error: RoutyError): void {
    if (this.#closed) return;
    this.#reopener.failed();
    this.#options.onError(error);
  }

  #reopen(): void {
    this.open().then(
      () => {
        if (!this.#closed) this.#options.onReopened();
      },
      (error: RoutyError) => this.#failed(error),
    );
  }
}
