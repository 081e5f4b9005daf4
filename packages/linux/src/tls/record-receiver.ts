import { alertName, ProtocolViolation } from './alerts.ts';
import { PostHandshakeReader } from './post-handshake.ts';
import {
  ALERT,
  APPLICATION_DATA,
  CIPHERTEXT_MAX,
  CONTENT_MAX,
  HANDSHAKE,
  HEADER_BYTES,
  lengthAt,
  PROTECTION_BYTES,
} from './record-format.ts';
import { ReceiveTraffic, type TrafficOptions } from './traffic.ts';
import { TAG_BYTES } from '../crypto/aead.ts';

/** Records in a row that may bring nothing for the application: more are work for nothing. */
const IDLE_RECORDS_MAX = 32;

export interface ReceiverHandlers {
  onTicket(): void;
  onKeyUpdate(isRequested: boolean): void;
  /** The peer sends no more: its close_notify has come. */
  onCloseNotify(): void;
  /** The peer ended the connection by an alert of that name. */
  onAlert(name: string): void;
}

/** Reads the peer's records: what they carry goes to whom it is for. */
export class RecordReceiver {
  readonly #traffic: ReceiveTraffic;
  readonly #handlers: ReceiverHandlers;
  readonly #messages: PostHandshakeReader;
  #idleRecords = 0;
  #isStopped = false;

  constructor(options: TrafficOptions, isClient: boolean, handlers: ReceiverHandlers) {
    this.#traffic = new ReceiveTraffic(options);
    this.#handlers = handlers;
    this.#messages = new PostHandshakeReader(isClient, {
      onTicket: () => handlers.onTicket(),
      onKeyUpdate: (isRequested) => {
        this.#traffic.update();
        handlers.onKeyUpdate(isRequested);
      },
    });
  }

  /** Records that the peer's present key has protected. */
  get sequence(): number {
    return this.#traffic.sequence;
  }

  /**
   * Opens every complete record in its place and returns how many bytes they were. What remains is the
   * beginning of one and comes again, with what follows it.
   *
   * @throws ProtocolViolation
   */
  read(bytes: Uint8Array, onPlaintext: (piece: Uint8Array) => void): number {
    let at = 0;
    while (!this.#isStopped && bytes.length - at >= HEADER_BYTES) {
      const length = checkedLength(bytes, at);
      const end = at + HEADER_BYTES + length;
      if (end > bytes.length) break;
      if (!this.#traffic.open(bytes, at)) {
        throw new ProtocolViolation('bad_record_mac', 'the tag of a record does not fit');
      }
      this.#take(bytes.subarray(at + HEADER_BYTES, end - TAG_BYTES), onPlaintext);
      at = end;
    }
    // What follows the peer's close is ignored (RFC 8446 §6.1).
    return this.#isStopped ? bytes.length : at;
  }

  /** Takes no more records, and clears the key. */
  stop(): void {
    this.#isStopped = true;
    this.#traffic.clear();
  }

  /** One inner plaintext: content, content type, padding of zeros (RFC 8446 §5.2). */
  #take(inner: Uint8Array, onPlaintext: (piece: Uint8Array) => void): void {
    let length = inner.length - 1;
    while (length >= 0 && inner[length] === 0) length -= 1;
    if (length < 0)
      throw new ProtocolViolation('unexpected_message', 'a record without content type');
    // Of padding more is taken than a peer may send (§5.4), as by OpenSSL.
    if (length > CONTENT_MAX) {
      throw new ProtocolViolation('record_overflow', `a record of ${length} bytes of content`);
    }
    const type = inner[length]!;
    if (type === APPLICATION_DATA && length > 0) this.#idleRecords = 0;
    else if (++this.#idleRecords > IDLE_RECORDS_MAX) {
      throw new ProtocolViolation('unexpected_message', 'too many records without data');
    }
    if (type !== HANDSHAKE && this.#messages.isPartial) {
      throw new ProtocolViolation(
        'unexpected_message',
        'another record within a handshake message',
      );
    }
    const content = inner.subarray(0, length);
    if (type === APPLICATION_DATA) {
      if (length > 0) onPlaintext(content);
    } else if (type === HANDSHAKE) this.#messages.read(content);
    else if (type === ALERT) this.#takeAlert(content);
    else throw new ProtocolViolation('unexpected_message', `a record of content type ${type}`);
  }

  /** Exactly one to a record (RFC 8446 §5.1). Its level says nothing that its number does not (§6). */
  #takeAlert(content: Uint8Array): void {
    if (content.length === 0) {
      throw new ProtocolViolation('unexpected_message', 'an alert record without content');
    }
    if (content.length !== 2) {
      throw new ProtocolViolation('decode_error', `an alert of ${content.length} bytes`);
    }
    const name = alertName(content[1]!);
    // A close_notify follows it (RFC 8446 §6.1).
    if (name === 'user_canceled') return;
    this.stop();
    if (name === 'close_notify') this.#handlers.onCloseNotify();
    else this.#handlers.onAlert(name);
  }
}

/** Of the record at `at`, after its header. Its version is ignored, as RFC 8446 §5.1 asks for. */
function checkedLength(bytes: Uint8Array, at: number): number {
  if (bytes[at] !== APPLICATION_DATA) {
    throw new ProtocolViolation('unexpected_message', `an unprotected record of type ${bytes[at]}`);
  }
  const length = lengthAt(bytes, at);
  if (length > CIPHERTEXT_MAX) {
    throw new ProtocolViolation('record_overflow', `a record of ${length} bytes`);
  }
  if (length < PROTECTION_BYTES) {
    throw new ProtocolViolation(
      'bad_record_mac',
      `a record of ${length} bytes has no room for a tag`,
    );
  }
  return length;
}
