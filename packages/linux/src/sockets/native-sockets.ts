import {
  type Connecting,
  type ConnectOptions as ConnectFirstOptions,
  connectFirst,
  LinkError,
  listenEverywhere,
} from '@routy/link/transport';
import type { Address } from '@routy/proto/base';
import type { SocketPlace } from '../system/socket-address.ts';
import { connectSocket } from './connect.ts';
import { NativeListener, type NativeListenerOptions, systemErrorOf } from './native-listener.ts';
import type { NativePlane } from './native-plane.ts';
import type { NativeSocket } from './native-socket.ts';
import { NativeStreamSocket } from './native-stream-socket.ts';
import { SilenceWatch } from './silence.ts';

/** What happens at a {@link NativeServer}. */
export interface NativeServerHandlers {
  /** A connection, paused. */
  onSocket(socket: NativeStreamSocket): void;
  /** Accepting has failed, for want of descriptors say: whoever has the server closes it. */
  onFault(error: Error): void;
}

/** Connections of clients and to targets on a native plane. */
export class NativeSockets {
  readonly #plane: NativePlane;
  readonly #silence = new SilenceWatch();

  constructor(plane: NativePlane) {
    this.#plane = plane;
  }

  /** A server that does not listen yet. */
  server(handlers: NativeServerHandlers): NativeServer {
    return new NativeServer(this.#plane, this.#silence, handlers);
  }

  /**
   * To an IP address or a unix socket.
   *
   * @throws the system's error, or what `signal` fired with
   */
  async connect(
    to: Address,
    localAddress: string | undefined,
    signal: AbortSignal,
  ): Promise<NativeStreamSocket> {
    const socket = await connectSocket(this.#plane, { to, localAddress, signal });
    return new NativeStreamSocket(this.#plane, socket, this.#silence);
  }

  /** The first of several addresses that answers. @throws RoutyError `dial-…`, as `connectAny` of the link */
  async connectFirst(options: ConnectFirstOptions): Promise<NativeStreamSocket> {
    const socket = await connectFirst(options, connectingBy(this.#plane));
    return new NativeStreamSocket(this.#plane, socket, this.#silence);
  }
}

/** How one of several addresses is tried on the plane. */
export function connectingBy(plane: NativePlane): Connecting<NativeSocket> {
  return {
    start({ port, localAddress }, host, { won, failed }) {
      const controller = new AbortController();
      const { signal } = controller;
      const connecting = connectSocket(plane, { to: { host, port }, localAddress, signal });
      void connecting.then(won, failed);
      return () => controller.abort(new LinkError('dial-aborted', 'this attempt is not needed'));
    },
    discard: (socket) => socket.close(),
  };
}

/** Listens at a unix socket, or at every address of a host, until it is closed. */
export class NativeServer {
  readonly #plane: NativePlane;
  readonly #silence: SilenceWatch;
  readonly #handlers: NativeServerHandlers;
  #listeners: NativeListener[] = [];
  #isClosed = false;

  constructor(plane: NativePlane, silence: SilenceWatch, handlers: NativeServerHandlers) {
    this.#plane = plane;
    this.#silence = silence;
    this.#handlers = handlers;
  }

  /**
   * The port; 0 for a unix socket, whose path is bound when this returns, before the promise is
   * fulfilled. When one of several addresses cannot be had, none is left open. Once.
   *
   * @throws the system's error
   */
  async listen(address: Address, backlog?: number): Promise<number> {
    if (address.kind === 'unix') return this.#listen(address, backlog);
    const port = await listenEverywhere(address, {
      listen: (where) => this.#listen(where, backlog),
      closeAll: () => this.#closeAll(),
    });
    if (this.#isClosed) this.#closeAll();
    return port;
  }

  /** Stops listening at once, and removes the file of a unix socket; connections live on. */
  close(): void {
    this.#isClosed = true;
    this.#closeAll();
  }

  #listen(at: SocketPlace, backlog?: number): number {
    const listener = openListener(this.#plane, {
      at,
      backlog,
      delayMs: () => FAULT_DELAY_MS,
      onConnection: (socket) =>
        this.#handlers.onSocket(new NativeStreamSocket(this.#plane, socket, this.#silence)),
      onError: (error) => this.#handlers.onFault(systemErrorOf(error)),
      onReopened: () => {},
    });
    this.#listeners.push(listener);
    const { place } = listener;
    return place !== undefined && 'port' in place ? place.port : 0;
  }

  #closeAll(): void {
    for (const listener of this.#listeners.splice(0)) listener.close();
  }
}

/** Whoever has a server closes it at its first fault. */
const FAULT_DELAY_MS = 1000;

/** @throws the system's error, not yet in words for whoever configured the address */
function openListener(plane: NativePlane, options: NativeListenerOptions): NativeListener {
  try {
    return new NativeListener(plane, options);
  } catch (error) {
    throw systemErrorOf(error);
  }
}
