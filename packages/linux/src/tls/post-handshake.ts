import { ProtocolViolation } from './alerts.ts';

// Handshake types of RFC 8446 §4.
const NEW_SESSION_TICKET = 4;
const KEY_UPDATE = 24;

const HEADER_BYTES = 4;

/** A ticket with every part of it as long as it may be (RFC 8446 §4.6.1). */
const TICKET_MAX = 4 + 4 + 1 + 255 + 2 + 0xffff + 2 + 0xfffe;

/** What the peer may say after the handshake (RFC 8446 §4.6). */
export interface PostHandshakeHandlers {
  /** It is not kept: no session is resumed. */
  onTicket(): void;
  /** The records that follow are protected by the peer's next key. */
  onKeyUpdate(isRequested: boolean): void;
}

/**
 * Reads the handshake messages that come after a handshake, however they are cut into records. Holds four
 * bytes of a message at most.
 */
export class PostHandshakeReader {
  readonly #isClient: boolean;
  readonly #handlers: PostHandshakeHandlers;
  readonly #header = new Uint8Array(HEADER_BYTES);
  #headerBytes = 0;
  #bodyLeft = 0;

  constructor(isClient: boolean, handlers: PostHandshakeHandlers) {
    this.#isClient = isClient;
    this.#handlers = handlers;
  }

  /** A message has begun and is to go on in the next record. */
  get isPartial(): boolean {
    return this.#headerBytes > 0;
  }

  /**
   * The content of one record.
   *
   * @throws ProtocolViolation
   */
  read(content: Uint8Array): void {
    if (content.length === 0) {
      throw new ProtocolViolation('unexpected_message', 'a handshake record without content');
    }
    let at = 0;
    while (at < content.length) {
      if (this.#headerBytes < HEADER_BYTES) {
        this.#header[this.#headerBytes++] = content[at++]!;
        if (this.#headerBytes < HEADER_BYTES) continue;
        this.#begin();
        // A message of no length would end here; none of those allowed has none.
        continue;
      }
      const part = Math.min(this.#bodyLeft, content.length - at);
      this.#bodyLeft -= part;
      at += part;
      if (this.#bodyLeft === 0) this.#finish(content[at - 1]!, at === content.length);
    }
  }

  /** The header of a message is complete. */
  #begin(): void {
    const [type, high, middle, low] = this.#header;
    const length = (high! << 16) | (middle! << 8) | low!;
    this.#bodyLeft = length;
    if (type === KEY_UPDATE) {
      if (length === 1) return;
      throw new ProtocolViolation('decode_error', `a KeyUpdate of ${length} bytes`);
    }
    if (type !== NEW_SESSION_TICKET || !this.#isClient) {
      throw new ProtocolViolation('unexpected_message', `handshake message ${type} from the peer`);
    }
    if (length === 0 || length > TICKET_MAX) {
      throw new ProtocolViolation('decode_error', `a ticket of ${length} bytes`);
    }
  }

  #finish(lastByte: number, isRecordEnd: boolean): void {
    this.#headerBytes = 0;
    if (this.#header[0] !== KEY_UPDATE) {
      this.#handlers.onTicket();
      return;
    }
    // RFC 8446 §5.1: a record after it has another key, so nothing may follow in the same one.
    if (!isRecordEnd) {
      throw new ProtocolViolation('unexpected_message', 'a KeyUpdate before the end of its record');
    }
    if (lastByte > 1) {
      throw new ProtocolViolation('illegal_parameter', `a KeyUpdate that requests ${lastByte}`);
    }
    this.#handlers.onKeyUpdate(lastByte === 1);
  }
}

/** The message that announces this side's next key (RFC 8446 §4.6.3). */
export function keyUpdateMessage(isRequested: boolean): Uint8Array {
  return Uint8Array.of(KEY_UPDATE, 0, 0, 1, isRequested ? 1 : 0);
}
