/** What yamux runs over: a TLS socket, joined to it as `@libp2p/tcp` joins a TCP socket. */
import type { TLSSocket } from 'node:tls';
import type { Logger, MessageStreamDirection } from '@libp2p/interface';
import { AbstractMessageStream, type SendResult } from '@libp2p/utils';

type ByteList = Parameters<AbstractMessageStream['sendData']>[0];

/** Nothing is logged, and it costs no more than that. */
const SILENT: Logger = Object.assign(() => undefined, {
  error: () => undefined,
  trace: () => undefined,
  enabled: false,
  newScope: () => SILENT,
});

/** Of Node 22 (ECMA-262, 27.2.4.8): libp2p uses it, and Node 20 has it not. */
if (!('withResolvers' in Promise)) Object.assign(Promise, { withResolvers });

function withResolvers<T>() {
  let settle: { resolve(value: T): void; reject(reason: unknown): void } | undefined;
  const promise = new Promise<T>((resolve, reject) => {
    settle = { resolve, reject };
  });
  return { promise, ...settle! };
}

export class TlsConnection extends AbstractMessageStream {
  readonly #socket: TLSSocket;

  constructor(socket: TLSSocket, direction: MessageStreamDirection) {
    super({ log: SILENT, direction });
    this.#socket = socket;
    socket.on('data', (chunk) => this.onData(chunk));
    socket.on('drain', () => this.safeDispatchEvent('drain'));
    socket.on('error', () => socket.destroy());
    socket.once('close', () => this.onTransportClosed());
  }

  /** A frame's header and payload go down together. */
  sendData(data: ByteList): SendResult {
    let canSendMore = true;
    this.#socket.cork();
    for (const piece of data) canSendMore = this.#socket.write(piece);
    this.#socket.uncork();
    return { sentBytes: data.byteLength, canSendMore };
  }

  sendReset(): void {
    this.#socket.destroy();
  }

  sendPause(): void {
    this.#socket.pause();
  }

  sendResume(): void {
    this.#socket.resume();
  }

  async close(): Promise<void> {
    this.#socket.end();
  }
}
