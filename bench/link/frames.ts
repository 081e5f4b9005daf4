/** Messages on a stream of bytes, for libraries that have none: a length of four bytes before each. */

const PREFIX_BYTES = 4;

/** Up to this, one write with a copy is cheaper than two without. */
const COPIED_BYTES_MAX = 8 * 1024;

const NOTHING = Buffer.alloc(0);

/** The pieces to write for a message. */
export function framed(message: Uint8Array): readonly Uint8Array[] {
  const size = message.length;
  const isCopied = size <= COPIED_BYTES_MAX;
  const head = Buffer.allocUnsafe(isCopied ? PREFIX_BYTES + size : PREFIX_BYTES);
  head.writeUInt32BE(size, 0);
  if (!isCopied) return [head, message];
  head.set(message, PREFIX_BYTES);
  return [head];
}

/** Cuts bytes into messages; those that came in one piece are views of it. */
export class FrameCutter {
  readonly #onMessage: (message: Uint8Array) => void;
  /** Of a message that has not come whole, its length before it. */
  #parts: Uint8Array[] = [];
  #partBytes = 0;
  /** With how many bytes the message is whole, as far as is known. */
  #wanted = PREFIX_BYTES;

  constructor(onMessage: (message: Uint8Array) => void) {
    this.#onMessage = onMessage;
  }

  push(chunk: Uint8Array): void {
    if (this.#partBytes === 0) {
      this.#cut(chunk);
      return;
    }
    this.#parts.push(chunk);
    this.#partBytes += chunk.length;
    if (this.#partBytes < this.#wanted) return;
    const all = Buffer.concat(this.#parts, this.#partBytes);
    this.#parts = [];
    this.#partBytes = 0;
    this.#cut(all);
  }

  #cut(bytes: Uint8Array): void {
    let at = 0;
    this.#wanted = PREFIX_BYTES;
    while (bytes.length - at >= PREFIX_BYTES) {
      const end = at + PREFIX_BYTES + sizeAt(bytes, at);
      this.#wanted = end - at;
      if (end > bytes.length) break;
      this.#onMessage(bytes.subarray(at + PREFIX_BYTES, end));
      this.#wanted = PREFIX_BYTES;
      at = end;
    }
    const rest = at === bytes.length ? NOTHING : bytes.subarray(at);
    if (rest.length === 0) return;
    this.#parts.push(rest);
    this.#partBytes = rest.length;
  }
}

function sizeAt(bytes: Uint8Array, at: number): number {
  const [a, b, c, d] = [bytes[at]!, bytes[at + 1]!, bytes[at + 2]!, bytes[at + 3]!];
  return ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
}
