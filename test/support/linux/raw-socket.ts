import type { Socket } from 'node:net';
import type {
  RawConnection,
  RawHandlers,
} from '../../../packages/linux/src/tls/handshake/raw-connection.ts';

/** A socket of node:net, which allows half-open connections, as a connection below TLS. */
export class RawSocket implements RawConnection {
  readonly socket: Socket;
  readonly #stride: number;
  #handlers: RawHandlers | undefined;

  /** Bytes are handed on in parts of at most `stride`. */
  constructor(socket: Socket, stride = Number.POSITIVE_INFINITY) {
    this.socket = socket;
    this.#stride = stride;
    socket.pause();
    socket.on('error', () => socket.destroy());
    socket.on('data', (bytes: Buffer) => this.#handleBytes(bytes));
    socket.on('end', () => this.#handlers?.onEnd());
    socket.on('close', () => this.#handlers?.onClose());
    socket.pause();
  }

  get remoteAddress(): string | undefined {
    return this.socket.remoteAddress;
  }

  get remotePort(): number | undefined {
    return this.socket.remotePort;
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
    if (this.socket.writable) this.socket.write(bytes);
  }

  end(): void {
    this.socket.end();
  }

  destroy(): void {
    this.socket.destroy();
  }

  reset(): void {
    this.socket.resetAndDestroy();
  }

  /** Who pauses gets no more of a chunk, as from a socket that is read in parts. */
  #handleBytes(bytes: Buffer): void {
    for (let at = 0; at < bytes.length; at += this.#stride) {
      if (this.socket.isPaused()) {
        this.socket.unshift(bytes.subarray(at));
        return;
      }
      const end = Math.min(bytes.length, at + this.#stride);
      // Overwritten afterwards: nobody may keep a view.
      const part = Buffer.from(bytes.subarray(at, end));
      this.#handlers?.onBytes(part);
      part.fill(0xdd);
    }
  }
}
