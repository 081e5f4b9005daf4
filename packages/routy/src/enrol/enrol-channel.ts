import type { TLSSocket } from 'node:tls';
import { ALPN_ENROL } from '@routy/link/transport';
import { errorText, invariant, RoutyError } from '@routy/proto/base';
import {
  brokenMessage,
  type EnrolMessage,
  MESSAGE_BYTES_MAX,
  parseMessage,
  REASON_CHARS_MAX,
  refusalOf,
} from './enrol-protocol.ts';

const LENGTH_BYTES = 4;
const EXPORTER_LABEL = 'EXPORTER-routy-enrol-1';
const EXPORTER_BYTES = 32;

interface Waiting {
  resolve(body: string): void;
  reject(error: RoutyError): void;
  readonly timer: NodeJS.Timeout;
}

/**
 * Messages over an established TLS socket: u32 big endian length, then so many bytes of JSON (an
 * object with a `type`), at most {@link MESSAGE_BYTES_MAX}. The sides take turns. A message has a
 * deadline as a whole, so a peer that sends a byte now and then does not hold the socket open.
 */
export class EnrolChannel {
  /** 32 bytes that only the two ends of this TLS connection know (RFC 8446 §7.5). */
  readonly exporter: Buffer;
  /** Resolves when the connection is gone. */
  readonly closed: Promise<void>;
  readonly #socket: TLSSocket;
  readonly #stepMs: number;
  #received: Buffer = Buffer.alloc(0);
  #waiting: Waiting | undefined;
  #failure: RoutyError | undefined;
  #closing = false;

  /** @throws RoutyError `enrol-tls` when the socket is not TLS 1.3 for enrolment, or is closed already */
  constructor(socket: TLSSocket, stepMs: number) {
    this.#socket = socket;
    this.#stepMs = stepMs;
    // First of all: an error without a listener would end the process.
    socket.on('error', (error) =>
      this.#fail('enrol-lost', `the connection broke: ${error.message}`),
    );
    socket.on('end', () => this.#fail('enrol-lost', 'the other side ended the connection'));
    this.closed = new Promise((resolve) => {
      socket.on('close', () => {
        this.#fail('enrol-lost', 'the connection was closed');
        resolve();
      });
    });
    this.exporter = exportKey(socket);
    socket.on('data', (chunk: Buffer) => this.#onData(chunk));
  }

  /** @throws RoutyError why the connection failed, when it has */
  send(message: EnrolMessage): void {
    if (this.#failure !== undefined) throw this.#failure;
    this.#write(message);
  }

  /**
   * The next message, which must be of one of the wanted types.
   *
   * @throws RoutyError `enrol-timeout`, `enrol-lost`, `enrol-message-too-long`,
   *   `enrol-message-broken`; when the other side refused, its code and reason
   */
  async receive(...types: readonly string[]): Promise<EnrolMessage> {
    const message = parseMessage(await this.#nextBody());
    if (message.type === 'refused') throw refusalOf(message);
    if (types.some((type) => type === message.type)) return message;
    throw brokenMessage(`a message "${types.join('" or "')}" was expected`);
  }

  /** Tells the other side why it is refused, if it still listens, then closes. */
  refuse(error: RoutyError): void {
    if (this.#socket.writable) {
      this.#write({
        type: 'refused',
        code: error.code,
        reason: error.message.slice(0, REASON_CHARS_MAX),
        ...(error.hint === undefined ? {} : { hint: error.hint.slice(0, REASON_CHARS_MAX) }),
      });
    }
    this.close();
  }

  /**
   * Sends what is queued, then closes as soon as the other side does, at the latest after a step's
   * time. What still comes is read and thrown away: closing over unread bytes would reset the
   * connection, and the last message with it.
   */
  close(): void {
    this.#closing = true;
    if (this.#socket.destroyed) return;
    const timer = setTimeout(() => this.#socket.destroy(), this.#stepMs);
    this.#socket.once('close', () => clearTimeout(timer));
    this.#socket.end();
  }

  #write(message: EnrolMessage): void {
    const body = Buffer.from(JSON.stringify(message));
    invariant(body.length <= MESSAGE_BYTES_MAX, `an enrolment message has ${body.length} bytes`);
    const length = Buffer.alloc(LENGTH_BYTES);
    length.writeUInt32BE(body.length);
    this.#socket.write(Buffer.concat([length, body]));
  }

  #nextBody(): Promise<string> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#fail('enrol-timeout', `no complete message within ${this.#stepMs} ms`);
      }, this.#stepMs);
      this.#waiting = { resolve, reject, timer };
      this.#deliver();
    });
  }

  #onData(chunk: Buffer): void {
    if (this.#closing || this.#failure !== undefined) return;
    if (this.#received.length + chunk.length > LENGTH_BYTES + MESSAGE_BYTES_MAX) {
      this.#received = Buffer.alloc(0);
      this.#fail('enrol-message-too-long', `more than ${MESSAGE_BYTES_MAX} bytes in one message`);
      return;
    }
    this.#received = Buffer.concat([this.#received, chunk]);
    this.#deliver();
  }

  #deliver(): void {
    const waiting = this.#waiting;
    if (waiting === undefined) return;
    const body = this.#takeBody();
    if (body !== undefined) {
      this.#settle();
      waiting.resolve(body);
    } else if (this.#failure !== undefined) {
      this.#settle();
      waiting.reject(this.#failure);
    }
  }

  #takeBody(): string | undefined {
    if (this.#received.length < LENGTH_BYTES) return undefined;
    const length = this.#received.readUInt32BE();
    if (length > MESSAGE_BYTES_MAX) {
      this.#fail('enrol-message-too-long', `a message of ${length} bytes was announced`);
      return undefined;
    }
    if (this.#received.length < LENGTH_BYTES + length) return undefined;
    const body = this.#received.toString('utf8', LENGTH_BYTES, LENGTH_BYTES + length);
    this.#received = this.#received.subarray(LENGTH_BYTES + length);
    return body;
  }

  #settle(): void {
    clearTimeout(this.#waiting?.timer);
    this.#waiting = undefined;
  }

  /** The first failure stands; a message that came whole before it is still delivered. */
  #fail(code: string, reason: string): void {
    if (this.#failure !== undefined) return;
    this.#failure = new RoutyError(code, reason, { hint: FAILURE_HINT });
    const waiting = this.#waiting;
    this.#settle();
    waiting?.reject(this.#failure);
  }
}

const FAILURE_HINT =
  'check that the address leads to a routy that is up, and look in its log; then try again';

function exportKey(socket: TLSSocket): Buffer {
  if (socket.getProtocol() !== 'TLSv1.3' || socket.alpnProtocol !== ALPN_ENROL) {
    throw new RoutyError('enrol-tls', `this is not TLS 1.3 with ${ALPN_ENROL}`, {
      hint: FAILURE_HINT,
    });
  }
  try {
    return socket.exportKeyingMaterial(EXPORTER_BYTES, EXPORTER_LABEL, Buffer.alloc(0));
  } catch (error) {
    throw new RoutyError('enrol-tls', `the TLS connection gave no key: ${errorText(error)}`, {
      hint: FAILURE_HINT,
      cause: error,
    });
  }
}
