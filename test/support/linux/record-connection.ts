import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { nodeAead } from '../../../packages/linux/src/crypto/node-aead.ts';
import { opensslAead } from '../../../packages/linux/src/crypto/openssl-aead.ts';
import { loadProcessLibrary } from '../../../packages/linux/src/native/process-library.ts';
import type { Secured } from '../../../packages/linux/src/tls/handshake/accepted-tls.ts';
import { connectTls } from '../../../packages/linux/src/tls/handshake/connect-tls.ts';
import type { Established } from '../../../packages/linux/src/tls/handshake/handshake.ts';
import type { TlsAcceptor } from '../../../packages/linux/src/tls/handshake/tls-acceptor.ts';
import { RecordLayer } from '../../../packages/linux/src/tls/record-layer.ts';
import type { TlsCredentials } from '../../../packages/link/src/transport/lane.ts';
import type { HandshakeFailure } from '../../../packages/link/src/transport/tls/handshake-failure.ts';
import { RawSocket } from './raw-socket.ts';

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
  readonly #raw: RawSocket;
  #waiting: Buffer = Buffer.alloc(0);
  #chunks: Buffer[] = [];
  #bytes = 0;
  #news: () => void = () => {};

  constructor(raw: RawSocket, established: Established, options: RecordConnectionOptions) {
    this.#raw = raw;
    this.established = established;
    const { recordsMax } = options;
    this.layer = new RecordLayer({
      ...established,
      aead,
      ...(recordsMax === undefined ? {} : { recordsMax }),
    });
    raw.bind({
      onBytes: (bytes) => this.#handleBytes(bytes),
      onEnd: () => this.#handleEnd(),
      onClose: () => this.#news(),
    });
    this.#handleBytes(established.leftover);
    if (established.isEnded) this.#handleEnd();
    raw.resume();
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
    this.#raw.send(out.subarray(0, this.layer.seal(pieces, out)));
  }

  end(): void {
    this.layer.end();
    this.send();
  }

  destroy(): void {
    this.layer.clear();
    this.#raw.destroy();
  }

  /** Resolves when it holds; looked at whenever something came, for 20 s. */
  async until(what: string, holds: () => boolean): Promise<void> {
    const deadline = AbortSignal.timeout(20_000);
    while (!holds()) {
      if (this.#raw.socket.destroyed) throw new Error(`${what}: the socket is closed`);
      if (deadline.aborted) throw new Error(`${what}: waited in vain`);
      await new Promise<void>((resolve) => {
        this.#news = resolve;
        deadline.addEventListener('abort', () => resolve(), { once: true });
      });
    }
  }

  /** As if the peer had sent them. */
  inject(bytes: Uint8Array): void {
    this.#handleBytes(bytes);
  }

  #handleBytes(bytes: Uint8Array): void {
    // Copied: they are not this one's to decrypt in.
    this.#waiting = Buffer.concat([this.#waiting, bytes]);
    const used = this.layer.receive(this.#waiting, (piece) => {
      this.#chunks.push(Buffer.from(piece));
      this.#bytes += piece.length;
    });
    this.#waiting = this.#waiting.subarray(used);
    if (this.layer.hasControl) this.send();
    this.#news();
  }

  #handleEnd(): void {
    this.layer.receiveEnd();
    this.#news();
  }
}

/** Dials as the client of a handshake. */
export async function dialRecords(
  port: number,
  credentials: TlsCredentials,
  options: RecordConnectionOptions & { readonly signal?: AbortSignal } = {},
): Promise<RecordConnection> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true });
  const signal = options.signal ?? AbortSignal.timeout(10_000);
  await once(socket, 'connect', { signal });
  const raw = new RawSocket(socket, options.stride);
  const label = `127.0.0.1:${port}`;
  const established = await connectTls({ raw, credentials, label, signal });
  return new RecordConnection(raw, established, options);
}

/** Takes an accepted socket through a handshake as its server; rejects with a {@link HandshakeRefused}. */
export async function acceptRecords(
  socket: Socket,
  acceptor: TlsAcceptor<RawSocket>,
  options: RecordConnectionOptions = {},
): Promise<RecordConnection> {
  const secured = await new Promise<Secured<RawSocket>>((resolve, reject) => {
    const connection = acceptor.accept(new RawSocket(socket, options.stride));
    connection.handshake({
      onSecure: resolve,
      onFailed: (failure) => {
        connection.farewell();
        reject(new HandshakeRefused(failure));
      },
    });
  });
  if (secured.kind === 'enrolment') throw new Error('a newcomer');
  return new RecordConnection(secured.raw, secured.established, options);
}

/** A client came to nothing. */
export class HandshakeRefused extends Error {
  readonly failure: HandshakeFailure;

  constructor(failure: HandshakeFailure) {
    super(`${failure.code}: ${failure.detail}`);
    this.failure = failure;
  }
}
