import { unlinkSync } from 'node:fs';
import { listenFailure, type ReopenDelay, Reopener } from '@routy/link/transport';
import type { Address, RoutyError } from '@routy/proto/base';
import type { Watcher } from '../loop/event-loop.ts';
import { EPOLLERR, EPOLLHUP, EPOLLIN, SO_REUSEADDR, SOL_SOCKET } from '../system/constants.ts';
import { encodeAddress, familyOf, placeText, type SocketPlace } from '../system/socket-address.ts';
import { EAGAIN, errorName, systemError } from '../system/system-error.ts';
import { CONNECTION_EVENTS, NativeSocket } from './native-socket.ts';
import type { NativePlane } from './native-plane.ts';
import { setStreamOptions } from './socket-options.ts';

const BACKLOG = 1024;

/** Connections accepted in one turn: others wait behind them. */
const ACCEPTED_MAX = 64;

/** Of the one connection that is not there any more, or of its network (accept(2)); the next may be fine. */
const PASSING = new Set([
  'ECONNABORTED',
  'EINTR',
  'EPROTO',
  'ENOPROTOOPT',
  'ENETDOWN',
  'ENETUNREACH',
  'EHOSTDOWN',
  'EHOSTUNREACH',
  'ENONET',
  'EOPNOTSUPP',
  'EPERM',
]);

export interface NativeListenerOptions {
  readonly at: SocketPlace;
  readonly backlog?: number | undefined;
  /** How long accepting rests after it has failed. */
  readonly delayMs: ReopenDelay;
  /** A connection, paused. */
  onConnection(socket: NativeSocket): void;
  /** Accepting has failed, for want of descriptors say. It goes on after a while. */
  onError(error: RoutyError): void;
  /** Accepting goes on after `onError`. */
  onReopened(): void;
}

/**
 * Listens at one address until it is closed. It does not die: when accepting fails it rests, and goes on
 * at the same socket, whose backlog keeps who came meanwhile.
 */
export class NativeListener implements Watcher {
  readonly #plane: NativePlane;
  readonly #options: NativeListenerOptions;
  readonly #family: number;
  readonly #reopener: Reopener;
  #fd: number;
  #isResting = false;

  /** @throws LinkError `listen-…` */
  constructor(plane: NativePlane, options: NativeListenerOptions) {
    this.#plane = plane;
    this.#options = options;
    const address = encodeAddress(options.at);
    this.#family = familyOf(address);
    this.#fd = this.#open(address, options.backlog ?? BACKLOG);
    this.#reopener = new Reopener(() => this.#goOn(), options.delayMs);
    try {
      plane.loop.watch(this.#fd, EPOLLIN, this);
    } catch (error) {
      this.#closeBound(this.#fd);
      throw listenFailure(addressOf(options.at), error);
    }
  }

  /** Where it listens, with the port that the system chose; undefined once it is closed. */
  get place(): SocketPlace | undefined {
    return this.#fd < 0 ? undefined : this.#plane.system.localPlace(this.#fd);
  }

  /** By the loop, which tells it again as long as there are connections to accept. */
  ready(events: number): void {
    if ((events & (EPOLLERR | EPOLLHUP)) !== 0) this.#rest(systemError('accept', -1));
    for (let count = 0; count < ACCEPTED_MAX && this.#fd >= 0 && !this.#isResting; count++) {
      const fd = this.#plane.system.accept(this.#fd);
      if (fd === EAGAIN) return;
      if (fd >= 0) this.#accepted(fd);
      else if (!PASSING.has(errorName(fd))) this.#rest(systemError('accept', fd));
    }
  }

  /** Accepts no more; connections live on. The file of a unix socket is removed. */
  close(): void {
    if (this.#fd < 0) return;
    const fd = this.#fd;
    this.#fd = -1;
    this.#reopener.stop();
    this.#plane.loop.unwatch(fd);
    this.#closeBound(fd);
  }

  /** The file goes first: behind the close it might be that of another process, which has taken its place. */
  #closeBound(fd: number): void {
    if ('path' in this.#options.at) removeFile(this.#options.at.path);
    this.#plane.system.close(fd);
  }

  #open(address: Uint8Array, backlog: number): number {
    const { system } = this.#plane;
    const fd = system.socket(address);
    if (fd < 0) throw this.#failure('socket', fd);
    setStreamOptions(system, fd);
    system.setOption(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    const bound = system.bind(fd, address);
    const result = bound < 0 ? bound : system.listen(fd, backlog);
    if (result === 0) return fd;
    if (bound < 0) system.close(fd);
    else this.#closeBound(fd);
    throw this.#failure(bound < 0 ? 'bind' : 'listen', result);
  }

  #accepted(fd: number): void {
    const socket = new NativeSocket(this.#plane, fd, this.#family);
    try {
      this.#plane.loop.watch(fd, CONNECTION_EVENTS, socket);
    } catch (error) {
      this.#plane.system.close(fd);
      this.#rest(error);
      return;
    }
    this.#reopener.works();
    this.#options.onConnection(socket);
  }

  #rest(error: unknown): void {
    if (this.#isResting || this.#fd < 0) return;
    this.#isResting = true;
    this.#plane.loop.unwatch(this.#fd);
    this.#reopener.failed();
    this.#options.onError(listenFailure(addressOf(this.#options.at), error));
  }

  #goOn(): void {
    if (this.#fd < 0) return;
    this.#isResting = false;
    try {
      this.#plane.loop.watch(this.#fd, EPOLLIN, this);
    } catch (error) {
      this.#rest(error);
      return;
    }
    this.#options.onReopened();
  }

  #failure(call: string, result: number): RoutyError {
    const { at } = this.#options;
    return listenFailure(addressOf(at), systemError(call, result, placeText(at)));
  }
}

function addressOf(place: SocketPlace): Address {
  return 'path' in place ? { kind: 'unix', ...place } : { kind: 'tcp', ...place };
}

/** What the system said, of an error in words for whoever configured the address. */
export function systemErrorOf(error: unknown): Error {
  const { cause } = error as Error;
  return cause instanceof Error ? cause : (error as Error);
}

function removeFile(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // Somebody has removed it before.
  }
}
