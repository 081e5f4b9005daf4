import type { NativeSocket, SocketHandlers } from '../sockets/native-socket.ts';
import type { NativePlane } from '../sockets/native-plane.ts';
import type { RawConnection, RawHandlers } from '../tls/index.ts';

/** A native socket as the connection that TLS shakes hands over. It closes when its other end is gone. */
export class RawSocket implements RawConnection, SocketHandlers {
  readonly socket: NativeSocket;
  readonly remoteAddress: string | undefined;
  readonly remotePort: number | undefined;
  readonly #plane: NativePlane;
  #handlers: RawHandlers | undefined;
  #isCloseTold = false;

  /** The socket is paused, and this one's until another binds it. */
  constructor(plane: NativePlane, socket: NativeSocket) {
    this.#plane = plane;
    this.socket = socket;
    const place = socket.remotePlace;
    if (place !== undefined && 'host' in place) {
      this.remoteAddress = place.host;
      this.remotePort = place.port;
    }
    socket.bind(this);
  }

  bind(handlers: RawHandlers): void {
    this.#handlers = handlers;
  }

  resume(): void {
    this.socket.resume();
  }

  pause(): void {
    this.socket.pause();
  }

  send(bytes: Uint8Array): void {
    this.socket.write(bytes);
    this.socket.flush();
  }

  end(): void {
    this.socket.end();
    this.#closedPerhaps();
  }

  destroy(): void {
    this.socket.close();
    this.#closedPerhaps();
  }

  reset(): void {
    this.socket.reset();
    this.#closedPerhaps();
  }

  /** {@link SocketHandlers} */
  onData(bytes: Uint8Array): void {
    this.#handlers!.onBytes(bytes);
  }

  onEnd(): void {
    this.#handlers!.onEnd();
    this.#closedPerhaps();
  }

  onWritten(): void {}

  onFinished(): void {
    this.#closedPerhaps();
  }

  /** Reading says why. */
  onWritingDied(): void {}

  onGone(): void {
    this.destroy();
  }

  onError(): void {
    this.destroy();
  }

  /** Not from within what its owner does. The socket closes by itself when both directions have ended. */
  #closedPerhaps(): void {
    if (this.#isCloseTold) return;
    this.#plane.loop.atRoundEnd(() => {
      if (this.#isCloseTold || !this.socket.isClosed) return;
      this.#isCloseTold = true;
      this.#handlers?.onClose();
    });
  }
}
