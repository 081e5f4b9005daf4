import { CONNECTION_EVENTS, NativeSocket } from './native-socket.ts';
import type { NativePlane } from './native-plane.ts';
import { setStreamOptions } from './socket-options.ts';
import type { Watcher } from '../loop/event-loop.ts';
import { IP_BIND_ADDRESS_NO_PORT, IPPROTO_IP, SO_ERROR, SOL_SOCKET } from '../system/constants.ts';
import { encodeAddress, familyOf, placeText, type SocketPlace } from '../system/socket-address.ts';
import { EINPROGRESS, ETIMEDOUT, systemError } from '../system/system-error.ts';

export interface ConnectOptions {
  readonly to: SocketPlace;
  /** The IP address it comes from, of the family of `to`; the system's choice when left out. */
  readonly localAddress?: string | undefined;
  /** Until it is connected, in ms; the system's own, two minutes and more, when left out. */
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * A connection, paused, without Nagle's delay, with urgent data inline.
 *
 * @throws the system's error in Node's shape, `ETIMEDOUT` too when the time was over, or what `signal`
 *   fired with
 */
export function connectSocket(plane: NativePlane, options: ConnectOptions): Promise<NativeSocket> {
  return new Promise((resolve, reject) => {
    options.signal?.throwIfAborted();
    new Attempt(plane, options, resolve, reject).start();
  });
}

/** One connection on its way. */
class Attempt implements Watcher {
  readonly #plane: NativePlane;
  readonly #options: ConnectOptions;
  readonly #address: Uint8Array;
  readonly #resolve: (socket: NativeSocket) => void;
  readonly #reject: (reason: unknown) => void;
  #fd = -1;
  #timer: NodeJS.Timeout | undefined;

  /** @throws Error when an address is none */
  constructor(
    plane: NativePlane,
    options: ConnectOptions,
    resolve: (socket: NativeSocket) => void,
    reject: (reason: unknown) => void,
  ) {
    this.#plane = plane;
    this.#options = options;
    this.#address = encodeAddress(options.to);
    this.#resolve = resolve;
    this.#reject = reject;
  }

  start(): void {
    const { system } = this.#plane;
    const fd = system.socket(this.#address);
    if (fd < 0) {
      this.#reject(systemError('socket', fd));
      return;
    }
    this.#fd = fd;
    setStreamOptions(system, fd);
    const bound = this.#bind(fd);
    if (bound < 0) {
      this.#fail(systemError('bind', bound, this.#options.localAddress));
      return;
    }
    const result = system.connect(fd, this.#address);
    if (result < 0 && result !== EINPROGRESS) this.#fail(this.#failure(result));
    else this.#watch(fd, result === 0);
  }

  /** By the loop. */
  ready(events: number): void {
    const error = this.#plane.system.getOption(this.#fd, SOL_SOCKET, SO_ERROR);
    if (error === 0) this.#connected(events);
    else this.#fail(this.#failure(-Math.abs(error)));
  }

  #watch(fd: number, isConnected: boolean): void {
    try {
      this.#plane.loop.watch(fd, CONNECTION_EVENTS, this);
    } catch (error) {
      this.#fail(error);
      return;
    }
    if (isConnected) {
      this.#connected(0);
      return;
    }
    const { timeoutMs, signal } = this.#options;
    if (timeoutMs !== undefined) this.#timer = setTimeout(this.#onTimeout, timeoutMs);
    signal?.addEventListener('abort', this.#onAbort);
  }

  /** The port is chosen when the other end is known, so that many connections may share one. */
  #bind(fd: number): number {
    const { localAddress } = this.#options;
    if (localAddress === undefined) return 0;
    const { system } = this.#plane;
    system.setOption(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
    return system.bind(fd, encodeAddress({ host: localAddress, port: 0 }));
  }

  /** The events are the socket's: the other end may have said something already, or all. */
  #connected(events: number): void {
    const fd = this.#fd;
    this.#settle();
    const socket = new NativeSocket(this.#plane, fd, familyOf(this.#address));
    this.#plane.loop.handOver(fd, socket);
    socket.ready(events);
    this.#resolve(socket);
  }

  #fail(reason: unknown): void {
    const fd = this.#fd;
    this.#settle();
    this.#plane.loop.unwatch(fd);
    this.#plane.system.close(fd);
    this.#reject(reason);
  }

  #settle(): void {
    this.#fd = -1;
    clearTimeout(this.#timer);
    this.#options.signal?.removeEventListener('abort', this.#onAbort);
  }

  #failure(result: number): Error {
    return systemError('connect', result, placeText(this.#options.to));
  }

  readonly #onTimeout = () => this.#fail(this.#failure(ETIMEDOUT));
  readonly #onAbort = () => this.#fail(this.#options.signal!.reason);
}
