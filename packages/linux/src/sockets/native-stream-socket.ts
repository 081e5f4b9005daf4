import type {
  ByteReceiver,
  EndpointSide,
  StreamEndHandler,
  StreamSocket,
} from '@routy/link/streams';
import { NativeEndpoint } from './native-endpoint.ts';
import type { NativePlane } from './native-plane.ts';
import type { NativeSocket, SocketHandlers } from './native-socket.ts';
import type { SilenceWatch } from './silence.ts';

/** An IP address and a port, or neither. */
interface End {
  readonly host?: string;
  readonly port?: number;
}

/** A native socket of a client or to a target: what `NodeStreamSocket` of the link is for sockets of Node. */
export class NativeStreamSocket implements StreamSocket {
  readonly #plane: NativePlane;
  readonly #socket: NativeSocket;
  readonly #silence: SilenceWatch;
  #remote: End | undefined;
  #local: End | undefined;
  #endpoint: NativeEndpoint | undefined;

  /** The socket is paused, and nobody else's. */
  constructor(plane: NativePlane, socket: NativeSocket, silence: SilenceWatch) {
    this.#plane = plane;
    this.#socket = socket;
    this.#silence = silence;
  }

  get remoteAddress(): string | undefined {
    return this.#remoteEnd.host;
  }

  get remotePort(): number | undefined {
    return this.#remoteEnd.port;
  }

  get localAddress(): string | undefined {
    return this.#localEnd.host;
  }

  get localPort(): number | undefined {
    return this.#localEnd.port;
  }

  get isGone(): boolean {
    return this.#socket.isGone;
  }

  keepAlive(silenceMs: number): void {
    this.#silence.join(this.#socket, silenceMs);
  }

  write(bytes: Uint8Array): void {
    // At once: a target may wait for it before it says anything, and no stream would bring more.
    this.#socket.bind(NOBODY);
    this.#socket.write(bytes);
    this.#socket.flush();
  }

  hold(onGone: () => void): void {
    this.#socket.bind(new HeldHandlers(onGone));
  }

  release(): void {
    this.#socket.bind(NOBODY);
  }

  endpoint(side: EndpointSide, onEnd: StreamEndHandler): ByteReceiver {
    this.#endpoint = new NativeEndpoint(this.#socket, side, onEnd);
    return this.#endpoint;
  }

  reset(): void {
    this.#socket.reset();
    this.#tellCut();
  }

  destroy(): void {
    this.#socket.close();
    this.#tellCut();
  }

  /** A stream that ends in it is told, though not from within what its owner does. */
  #tellCut(): void {
    const endpoint = this.#endpoint;
    if (endpoint !== undefined) this.#plane.loop.atRoundEnd(() => endpoint.cut());
  }

  get #remoteEnd(): End {
    this.#remote ??= (this.#socket.remotePlace as End | undefined) ?? {};
    return this.#remote;
  }

  get #localEnd(): End {
    this.#local ??= (this.#socket.localPlace as End | undefined) ?? {};
    return this.#local;
  }
}

/** Of a socket that nobody reads or writes. */
class HeldHandlers implements SocketHandlers {
  readonly #onGone: () => void;

  constructor(onGone: () => void) {
    this.#onGone = onGone;
  }

  onGone(): void {
    this.#onGone();
  }

  onError(): void {
    this.#onGone();
  }

  onData(): void {}

  onEnd(): void {}

  onWritten(): void {}

  onFinished(): void {}

  onWritingDied(): void {}
}

const NOBODY = new HeldHandlers(() => {});
