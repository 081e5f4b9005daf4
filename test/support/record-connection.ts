import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { nodeAead } from '../../packages/linux/src/crypto/node-aead.ts';
import { opensslAead } from '../../packages/linux/src/crypto/openssl-aead.ts';
import { loadProcessLibrary } from '../../packages/linux/src/native/process-library.ts';
import { connectTls } from '../../packages/linux/src/tls/handshake/connect-tls.ts';
import type { Established, Handshake } from '../../packages/linux/src/tls/handshake/handshake.ts';
import { RecordLayer } from '../../packages/linux/src/tls/record-layer.ts';
import type { TlsAcceptor } from '../../packages/linux/src/tls/handshake/tls-acceptor.ts';
import type { TlsCredentials } from '../../packages/link/src/transport/lane.ts';

const loaded = loadProcessLibrary();
const aead = 'library' in loaded ? opensslAead(loaded.library) : nodeAead;

export interface RecordConnectionOptions {
  /** The socket's bytes are handed on in parts of at most so many. */
  readonly stride?: number;
  readonly recordsMax?: number;
}

/** A record layer over a socket of node:net, as a lane would have it. */
export class RecordConnection {
  readonly layer: RecordLayer;
  readonly established: Established;
  readonly #socket: Socket;
  readonly #stride: number;
  #waiting: Buffer = Buffer.alloc(0);
  #chunks: Buffer[] = [];
  #bytes = 0;
  #news: () => void = () => {};

  constructor(socket: Socket, established: Established, options: RecordConnectionOptions) {
    this.#socket = socket;
    this.#stride = options.stride ?? Number.POSITIVE_INFINITY;
    this.established = established;
    const { recordsMax } = options;
    this.layer = new RecordLayer({
      ...established,
      aead,
      ...(recordsMax === undefined ? {} : { recordsMax }),
    });
    this.#handleBytes(Buffer.from(established.leftover));
    socket.on('data', (bytes: Buffer) => this.#handleBytes(bytes));
    socket.on('end', () => {
      this.layer.receiveEnd();
      this.#news();
    });
    socket.on('close', () => this.#news());
  }

  get receivedBytes(): number {
    return this.#bytes;
  }

  get received(): Buffer {
    return Buffer.concat(this.#chunks);
  }

  send(...pieces: Uint8Array[]): void {
    const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
    const out = Buffer.alloc(this.layer.sealedBytesMax(length));
    this.#socket.write(out.subarray(0, this.layer.seal(pieces, out)));
  }

  end(): void {
    this.layer.end();
    this.send();
  }

  destroy(): void {
    this.layer.clear();
    this.#socket.destroy();
  }

  /** Resolves when it holds; looked at whenever something came. */
  async until(what: string, holds: () => boolean): Promise<void> {
    while (!holds()) {
      if (this.#socket.destroyed) throw new Error(`${what}: the socket is closed`);
      await new Promise<void>((resolve) => {
        this.#news = resolve;
      });
    }
  }

  #handleBytes(bytes: Buffer): void {
    for (let at = 0; at < bytes.length; at += this.#stride) {
      const part = bytes.subarray(at, Math.min(bytes.length, at + this.#stride));
      // Copied: node's buffers are not this one's to decrypt in.
      this.#waiting = Buffer.concat([this.#waiting, part]);
      const used = this.layer.receive(this.#waiting, (piece) => {
        this.#chunks.push(Buffer.from(piece));
        this.#bytes += piece.length;
      });
      this.#waiting = this.#waiting.subarray(used);
    }
    if (this.layer.hasControl) this.send();
    this.#news();
  }
}

/** Dials as the client of a handshake. */
export async function dialRecords(
  port: number,
  credentials: TlsCredentials,
  options: RecordConnectionOptions & { readonly signal?: AbortSignal } = {},
): Promise<RecordConnection> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  const signal = options.signal ?? AbortSignal.timeout(10_000);
  await once(socket, 'connect', { signal });
  const handshake = connectTls({ credentials, signal, send: (bytes) => socket.write(bytes) });
  return takeOver(socket, handshake, options);
}

/** Takes an accepted socket through a handshake as its server. */
export function acceptRecords(
  socket: Socket,
  acceptor: TlsAcceptor,
  options: RecordConnectionOptions & { readonly signal?: AbortSignal } = {},
): Promise<RecordConnection> {
  const signal = options.signal ?? AbortSignal.timeout(10_000);
  const handshake = acceptor.accept({ signal, send: (bytes) => socket.write(bytes) });
  return takeOver(socket, handshake, options);
}

async function takeOver(
  socket: Socket,
  handshake: Handshake,
  options: RecordConnectionOptions,
): Promise<RecordConnection> {
  const stride = options.stride ?? Number.POSITIVE_INFINITY;
  const onData = (bytes: Buffer) => {
    for (let at = 0; at < bytes.length; at += stride) {
      handshake.receive(bytes.subarray(at, Math.min(bytes.length, at + stride)));
    }
  };
  const onEnd = () => handshake.receiveEnd();
  socket.on('error', onEnd);
  socket.on('data', onData);
  socket.on('end', onEnd);
  try {
    const established = await handshake.established;
    socket.off('data', onData);
    socket.off('end', onEnd);
    return new RecordConnection(socket, established, options);
  } catch (error) {
    socket.end();
    socket.resume();
    throw error;
  }
}
