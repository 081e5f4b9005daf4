import type { Socket } from 'node:net';
import type { ByteReceiver } from './byte-stream.ts';
import { keepAlive } from './keepalive.ts';
import { type EndpointSide, SocketEndpoint } from './socket-endpoint.ts';
import { isGone, type Watched, watch } from './socket-watch.ts';
import { resetSocket } from './sockets.ts';
import type { StreamEndHandler } from './stream-end.ts';

/** A connection, of either data plane, that a stream can end in. It is not read before. */
export interface StreamSocket {
  /** IP address of the other end; undefined for a unix socket, and when it is gone. */
  readonly remoteAddress: string | undefined;
  /** Port of the other end. */
  readonly remotePort: number | undefined;
  /** IP address of this end. */
  readonly localAddress: string | undefined;
  /** Port of this end. */
  readonly localPort: number | undefined;
  /** Its other end is not there any more. */
  readonly isGone: boolean;
  /** The other end is asked after so much silence, in ms, whether it is there; 0 for never. */
  keepAlive(silenceMs: number): void;
  /** Goes out before whatever the stream brings. */
  write(bytes: Uint8Array): void;
  /** While it waits for its stream: `onGone` is called once when its other end is gone. */
  hold(onGone: () => void): void;
  /** Ends what {@link hold} began. */
  release(): void;
  /** What a stream ends in; the socket is that one's from here on. */
  endpoint(side: EndpointSide, onEnd: StreamEndHandler): ByteReceiver;
  /** Its other end sees a reset; one of a unix socket sees it closed. */
  reset(): void;
  /** Closes it at once. */
  destroy(): void;
}

/** A socket of Node, paused. */
export class NodeStreamSocket implements StreamSocket {
  readonly #socket: Socket;
  #held: HeldSocket | undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  get remoteAddress(): string | undefined {
    return this.#socket.remoteAddress;
  }

  get remotePort(): number | undefined {
    return this.#socket.remotePort;
  }

  get localAddress(): string | undefined {
    return this.#socket.localAddress;
  }

  get localPort(): number | undefined {
    return this.#socket.localPort;
  }

  get isGone(): boolean {
    return isGone(this.#socket);
  }

  keepAlive(silenceMs: number): void {
    keepAlive(this.#socket, silenceMs);
  }

  write(bytes: Uint8Array): void {
    this.#socket.write(bytes);
  }

  hold(onGone: () => void): void {
    // One that fails while it waits must not fail the process; it is noticed by the watch.
    this.#socket.on('error', ignore);
    this.#held = new HeldSocket(this.#socket, onGone);
    watch(this.#held);
  }

  release(): void {
    this.#socket.removeListener('error', ignore);
    if (this.#held !== undefined) this.#held.watchedSocket = undefined;
    this.#held = undefined;
  }

  endpoint(side: EndpointSide, onEnd: StreamEndHandler): ByteReceiver {
    return new SocketEndpoint(this.#socket, side, onEnd);
  }

  reset(): void {
    resetSocket(this.#socket);
  }

  destroy(): void {
    this.#socket.destroy();
  }
}

class HeldSocket implements Watched {
  /** Undefined when it is held no more. */
  watchedSocket: Socket | undefined;
  readonly isUnread = true;
  readonly #onGone: () => void;

  constructor(socket: Socket, onGone: () => void) {
    this.watchedSocket = socket;
    this.#onGone = onGone;
  }

  gone(): void {
    if (this.watchedSocket !== undefined) this.#onGone();
  }
}

function ignore(): void {}
