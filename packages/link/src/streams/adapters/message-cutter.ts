import { LinkError } from '../../transport/link-error.ts';

export const PREFIX_BYTES = 4;

/** The length that no message has: what comes before it was one side of a conversation. */
export const MARK_SIZE = 0xffff_ffff;

/** In place of a message. */
export const MARK: Uint8Array = new Uint8Array(0);

/** Room for a message that came in part, before more of it comes. */
const BODY_BYTES_MIN = 64 * 1024;

/** By how much that grows when it is full: what is copied is an eighth, and a part of that. */
const GROWTH = 8;

const NOTHING: Uint8Array = new Uint8Array(0);

/** Cuts bytes into messages; a message that came in one piece is a view of it. */
export class MessageCutter {
  readonly #maxBytes: number;
  #chunk = NOTHING;
  #at = 0;
  readonly #prefix = new Uint8Array(PREFIX_BYTES);
  #prefixFilled = 0;
  /** Of a message that came in several pieces. */
  #body: Uint8Array | undefined;
  #bodyFilled = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Only when there is no next message. */
  push(chunk: Uint8Array): void {
    this.#chunk = chunk;
    this.#at = 0;
  }

  /** The next message; {@link MARK} once its peer's turn is over; undefined when more bytes are needed. */
  next(): Uint8Array | undefined {
    const size = this.#size();
    if (size === undefined) return undefined;
    if (size > this.#maxBytes) {
      if (size !== MARK_SIZE) throw tooLarge(size, this.#maxBytes);
      this.#prefixFilled = 0;
      return MARK;
    }
    if (this.#body === undefined && this.#chunk.length - this.#at >= size) {
      const whole = this.#chunk.subarray(this.#at, this.#at + size);
      this.#at += size;
      this.#prefixFilled = 0;
      return whole;
    }
    return this.#fill(size);
  }

  /** Whether {@link next} would give something. */
  get hasNext(): boolean {
    const size = this.#size();
    if (size === undefined) return false;
    return size > this.#maxBytes || this.#chunk.length - this.#at + this.#bodyFilled >= size;
  }

  /** Whether that would be {@link MARK}. */
  get isMarkNext(): boolean {
    return this.#size() === MARK_SIZE;
  }

  /** What was not cut; only right behind a message. */
  rest(): Uint8Array {
    const rest = this.#chunk.subarray(this.#at);
    this.#at = this.#chunk.length;
    return rest;
  }

  #size(): number | undefined {
    while (this.#prefixFilled < PREFIX_BYTES) {
      if (this.#at === this.#chunk.length) return undefined;
      this.#prefix[this.#prefixFilled++] = this.#chunk[this.#at++]!;
    }
    const [a, b, c, d] = this.#prefix as unknown as [number, number, number, number];
    return ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
  }

  #fill(size: number): Uint8Array | undefined {
    const part = this.#chunk.subarray(this.#at, this.#at + size - this.#bodyFilled);
    const body = this.#roomFor(this.#bodyFilled + part.length, size);
    body.set(part, this.#bodyFilled);
    this.#at += part.length;
    this.#bodyFilled += part.length;
    if (this.#bodyFilled < size) return undefined;
    this.#body = undefined;
    this.#bodyFilled = 0;
    this.#prefixFilled = 0;
    return body;
  }

  /** Grows with what has come: a length alone, which anybody can send, takes no memory. */
  #roomFor(bytes: number, size: number): Uint8Array {
    const body = this.#body;
    if (body !== undefined && body.length >= bytes) return body;
    const grown = Math.max(bytes, GROWTH * (body?.length ?? 0), BODY_BYTES_MIN);
    // Filled whole before anybody sees it.
    const larger = Buffer.allocUnsafeSlow(Math.min(size, grown));
    if (body !== undefined) larger.set(body.subarray(0, this.#bodyFilled));
    this.#body = larger;
    return larger;
  }

  /** No more comes. */
  end(): void {
    if (this.#prefixFilled === 0) return;
    throw new LinkError('message-truncated', 'the stream ended within a message');
  }
}

export function writePrefix(into: Uint8Array, at: number, size: number): void {
  into[at] = size >>> 24;
  into[at + 1] = size >>> 16;
  into[at + 2] = size >>> 8;
  into[at + 3] = size;
}

export function tooLarge(bytes: number, maxBytes: number): LinkError {
  const message = `a message of ${bytes} bytes, and at most ${maxBytes} are taken`;
  return new LinkError('message-too-large', message, { hint: 'raise maxBytes at both ends' });
}
