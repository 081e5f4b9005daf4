import {
  listenEverywhere,
  listenFailure,
  type ReopenDelays,
  Reopener,
} from '@routy/link/transport';
import type { RoutyError, TcpAddress } from '@routy/proto/base';
import { NativeListener, systemErrorOf } from './native-listener.ts';
import type { NativePlane } from './native-plane.ts';
import type { NativeSocket } from './native-socket.ts';

const DELAYS: ReopenDelays = { baseMs: 100, capMs: 5000 };

export interface ListenerGroupOptions {
  readonly address: TcpAddress;
  readonly delays?: ReopenDelays | undefined;
  /** A connection, paused. */
  onConnection(socket: NativeSocket): void;
  /** Accepting has failed, or the address cannot be had yet; it goes on trying. */
  onError(error: RoutyError): void;
  /** It listens again after `onError`. */
  onReopened(): void;
}

/** Listens at every address of a host until it is closed: what `ListeningSocket` of the link is. */
export class ListenerGroup {
  readonly #plane: NativePlane;
  readonly #options: ListenerGroupOptions;
  readonly #reopener: Reopener;
  /** Port 0 becomes the port that was given. */
  #address: TcpAddress;
  #listeners: NativeListener[] = [];
  #error: RoutyError | undefined;
  #isClosed = false;

  constructor(plane: NativePlane, options: ListenerGroupOptions) {
    this.#plane = plane;
    this.#options = options;
    this.#address = options.address;
    this.#reopener = new Reopener(() => void this.#openAgain(), delayBy(options.delays));
  }

  /** Where it listens, with the port that was given for port 0. */
  get address(): TcpAddress {
    return this.#address;
  }

  /** Why it is not listening right now. */
  get error(): RoutyError | undefined {
    return this.#error;
  }

  /** @throws RoutyError `listen-…` */
  async open(): Promise<void> {
    let port: number;
    try {
      port = await listenEverywhere(this.#address, {
        listen: (where) => this.#listen(where),
        closeAll: () => this.#closeAll(),
      });
    } catch (error) {
      throw listenFailure(this.#address, error);
    }
    this.#address = { ...this.#address, port };
    if (this.#isClosed) this.#closeAll();
  }

  /** As `open`, but a failure is told, and opening is tried again. */
  async insist(): Promise<void> {
    await this.open().catch((error: RoutyError) => this.#failed(error));
  }

  /** Stops listening; connections live on. */
  close(): void {
    this.#isClosed = true;
    this.#reopener.stop();
    this.#closeAll();
  }

  #listen(at: { readonly host: string; readonly port: number }): number {
    try {
      const listener = new NativeListener(this.#plane, {
        at,
        delayMs: delayBy(this.#options.delays),
        onConnection: (socket) => this.#options.onConnection(socket),
        onError: (error) => this.#rests(error),
        onReopened: () => this.#reopened(),
      });
      this.#listeners.push(listener);
      const { place } = listener;
      return place !== undefined && 'port' in place ? place.port : at.port;
    } catch (error) {
      // The address of all is named by who opens them.
      throw systemErrorOf(error);
    }
  }

  #rests(error: RoutyError): void {
    this.#error = error;
    this.#options.onError(error);
  }

  #reopened(): void {
    this.#error = undefined;
    this.#options.onReopened();
  }

  #failed(error: RoutyError): void {
    if (this.#isClosed) return;
    this.#reopener.failed();
    this.#rests(error);
  }

  async #openAgain(): Promise<void> {
    await this.insist();
    if (this.#listeners.length > 0 && !this.#isClosed) this.#reopened();
  }

  #closeAll(): void {
    for (const listener of this.#listeners.splice(0)) listener.close();
  }
}

function delayBy({ baseMs, capMs } = DELAYS): (failure: number) => number {
  return (failure) => Math.min(capMs, baseMs * 2 ** Math.min(failure - 1, 20));
}
