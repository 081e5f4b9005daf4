import { createHmac } from 'node:crypto';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { formatHostPort } from '../base/address.ts';
import { errorText, RoutyError } from '../base/errors.ts';
import { equalBytes } from './pin.ts';

/** The TLS application protocol of enrolment. */
export const ENROL_ALPN = 'routy-enrol/1';
/** Most bytes of one message's JSON. */
export const MESSAGE_BYTES_MAX = 16 * 1024;
/** Each step (connect, handshake, one message) has so long. */
export const STEP_MS = 10_000;

const LENGTH_BYTES = 4;
const EXPORTER_LABEL = 'EXPORTER-routy-enrol-1';
const EXPORTER_BYTES = 32;
const REASON_CHARS_MAX = 400;

export type EnrolMessage = Readonly<Record<string, unknown>>;

/** What an enrolling side tells its log. */
export type EnrolmentEvent =
  | {
      readonly kind: 'enrolled';
      /** `host:port` */
      readonly remote: string;
      readonly fabric: string;
      readonly site: string;
      readonly node: string;
      readonly serial: string;
    }
  | {
      readonly kind: 'refused';
      readonly remote: string;
      /** Stable, as in RoutyError: `invite-used`, `proof-wrong`, `enrol-timeout`… */
      readonly code: string;
      readonly reason: string;
      /** Who refused: this side or the other. */
      readonly by: 'us' | 'peer';
    };

export type EnrolmentLog = (event: EnrolmentEvent) => void;

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
  /** `host:port` */
  readonly remote: string;
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
    this.remote = remoteOf(socket);
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

  send(message: EnrolMessage): void {
    const body = Buffer.from(JSON.stringify(message));
    if (body.length > MESSAGE_BYTES_MAX) {
      throw new RoutyError('internal', `an enrolment message has ${body.length} bytes`);
    }
    if (this.#failure !== undefined) throw this.#failure;
    const length = Buffer.alloc(LENGTH_BYTES);
    length.writeUInt32BE(body.length);
    this.#socket.write(Buffer.concat([length, body]));
  }

  /**
   * The next message of the wanted type.
   *
   * @throws RoutyError `enrol-timeout`, `enrol-lost`, `enrol-message-too-long`,
   *   `enrol-message-broken`; when the other side refused, its code and reason
   */
  async receive(type: string): Promise<EnrolMessage> {
    const message = parseMessage(await this.#nextBody());
    if (message.type === 'refused') throw refusalOf(message);
    if (message.type === type) return message;
    throw broken(`a message "${type}" was expected`);
  }

  /** Tells the other side why it is refused, then closes. Never throws. */
  refuse(error: RoutyError): void {
    try {
      this.send({
        type: 'refused',
        code: error.code,
        reason: error.message.slice(0, REASON_CHARS_MAX),
        ...(error.hint === undefined ? {} : { hint: error.hint.slice(0, REASON_CHARS_MAX) }),
      });
    } catch {
      // The connection is gone; the log has the reason.
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

/**
 * A direction of a conversation in which every message is proved with a shared secret: the message
 * travels as `body` text beside an HMAC-SHA256 over direction, TLS exporter and body.
 */
export interface Proving {
  readonly secret: Uint8Array;
  readonly exporter: Uint8Array;
  /** Who sends: a message of one side cannot be thrown back at it as the other's. */
  readonly sender: 'adopter' | 'newcomer';
}

/** Wraps `message` with its proof. */
export function proveMessage(message: EnrolMessage, proving: Proving): EnrolMessage {
  const body = JSON.stringify(message);
  return { type: 'proved', body, proof: bodyProof(body, proving).toString('base64url') };
}

/**
 * Unwraps a proved message.
 *
 * @throws RoutyError `proof-wrong`, `enrol-message-broken`
 */
export function openProved(wrapped: EnrolMessage, type: string, proving: Proving): EnrolMessage {
  const body = textField(wrapped, 'body');
  const proof = Buffer.from(textField(wrapped, 'proof'), 'base64url');
  if (!equalBytes(bodyProof(body, proving), proof)) {
    throw new RoutyError('proof-wrong', `the ${proving.sender} did not prove the one-time secret`, {
      hint: 'copy ADDRESS#PIN again in full from the newcomer; it changes whenever the newcomer is started',
    });
  }
  const message = parseMessage(body);
  if (message.type === type) return message;
  throw broken(`a message "${type}" was expected`);
}

function bodyProof(body: string, proving: Proving): Buffer {
  return createHmac('sha256', proving.secret)
    .update(`routy-${proving.sender}\0`)
    .update(proving.exporter)
    .update(body)
    .digest();
}

/**
 * A text field of a message.
 *
 * @throws RoutyError `enrol-message-broken` when it is missing or not text
 */
export function textField(message: EnrolMessage, field: string): string {
  const value = message[field];
  if (typeof value === 'string') return value;
  throw broken(`"${field}" must be text`);
}

export function optionalTextField(message: EnrolMessage, field: string): string | undefined {
  return message[field] === undefined ? undefined : textField(message, field);
}

/** Anything caught, as a refusal that may be told to the other side. */
export function asRefusal(error: unknown): RoutyError {
  if (error instanceof RoutyError) return error;
  return new RoutyError('internal', errorText(error));
}

/** `host:port` of the other end, `unknown` when it is gone. */
export function remoteOf(socket: Socket): string {
  const { remoteAddress, remotePort } = socket;
  if (remoteAddress === undefined || remotePort === undefined) return 'unknown';
  return formatHostPort(remoteAddress, remotePort);
}

function exportKey(socket: TLSSocket): Buffer {
  if (socket.getProtocol() !== 'TLSv1.3' || socket.alpnProtocol !== ENROL_ALPN) {
    throw new RoutyError('enrol-tls', `this is not TLS 1.3 with ${ENROL_ALPN}`, {
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

function parseMessage(body: string): EnrolMessage {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch (error) {
    throw broken('it is not JSON', error);
  }
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    throw broken('it is not an object');
  }
  return value as EnrolMessage;
}

function broken(why: string, cause?: unknown): RoutyError {
  return new RoutyError('enrol-message-broken', `an enrolment message cannot be read: ${why}`, {
    hint: 'install the same version of routy on both nodes',
    cause,
  });
}

/** Another node's refusal as an error here. Its words are data: shortened, control characters out. */
function refusalOf(message: EnrolMessage): RoutyError {
  const code = typeof message.code === 'string' ? message.code : '';
  const hint = printable(message.hint);
  return new PeerRefusal(
    /^[a-z][a-z0-9-]{0,40}$/.test(code) ? code : 'enrol-refused',
    printable(message.reason) ?? 'the other side refused without a reason',
    hint === undefined ? {} : { hint },
  );
}

/** A refusal that the other side sent: there is no use in sending it back. */
export class PeerRefusal extends RoutyError {}

function printable(value: unknown): string | undefined {
  if (typeof value !== 'string' || value === '') return undefined;
  return value.replace(/\p{C}/gu, ' ').slice(0, REASON_CHARS_MAX);
}
