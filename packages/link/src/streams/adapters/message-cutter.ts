import { LinkError } from '../../transport/link-error.ts';

export const PREFIX_BYTES = 4;

/** The length that no message has: what comes before it was one side of a conversation. */
export const MARK_SIZE = 0xffff_ffff;

/** In place of a message. */
export const MARK: Uint8Array = new Uint8Array(0);

/** Room for a message that came in part, before more of it comes. */
const BODY_BYTES_MIN = 64 * 1024;

/** Not all of that for less than this part of it. */
const BODY_PART = 64;

/** By how much that grows when it is full: what is copied is an eighth, and a part of that. */
const GROWTH = 8;

/** Shorter messages are cheaper as views of what they came in. */
const ABSORBED_BYTES_MIN = 8 * 1024;

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
  /** Absorbed whole, in their order. */
  readonly #ready: Uint8Array[] = [];
  #readyBytes = 0;
  /** Behind a mark another protocol may follow. */
  #isMarked = false;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Only when there is no next message. */
  push(chunk: Uint8Array): void {
    this.#chunk = chunk;
    this.#at = 0;
  }

  /** Of absorbed messages that {@link next} has not given yet. */
  get readyBytes(): number {
    return this.#readyBytes;
  }

  /**
   * Copies bytes that are only lent to the long messages they are of; returns how many, from the first on.
   * The others are to come by {@link push}.
   */
  absorb(bytes: Uint8Array): number {
    if (this.#isMarked || this.#at < this.#chunk.length) return 0;
    this.push(bytes);
    while (this.#beginsLong()) {
      const message = this.#fill(this.#size()!);
      if (message === undefined) break;
      this.#ready.push(message);
      this.#readyBytes += message.length;
    }
    const absorbed = this.#at;
    this.push(NOTHING);
    return absorbed;
  }

  /** The next message; {@link MARK} once its peer's turn is over; undefined when more bytes are needed. */
  next(): Uint8Array | undefined {
    const ready = this.#ready.shift();
    if (ready !== undefined) {
      this.#readyBytes -= ready.length;
      return ready;
    }
    const size = this.#size();
    if (size === undefined) return undefined;
    if (size > this.#maxBytes) {
      if (size !== MARK_SIZE) throw tooLarge(size, this.#maxBytes);
      this.#prefixFilled = 0;
      this.#isMarked = true;
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
    if (this.#ready.length > 0) return true;
    const size = this.#size();
    if (size === undefined) return false;
    return size > this.#maxBytes || this.#chunk.length - this.#at + this.#bodyFilled >= size;
  }

  /** Whether that would be {@link MARK}. */
  get isMarkNext(): boolean {
    return this.#ready.length === 0 && this.#size() === MARK_SIZE;
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

  /** What comes next is of a message that is long; else nothing of it is used. */
  #beginsLong(): boolean {
    const [at, filled] = [this.#at, this.#prefixFilled];
    const size = this.#size();
    if (size === undefined) return false;
    const isLong = size >= ABSORBED_BYTES_MIN && size <= this.#maxBytes;
    if (isLong || this.#body !== undefined) return this.#at < this.#chunk.length;
    this.#at = at;
    this.#prefixFilled = filled;
    return false;
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
    const least = Math.min(BODY_PART * bytes, BODY_BYTES_MIN);
    const grown = Math.max(bytes, GROWTH * (body?.length ?? 0), least);
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
