/** Up to this, a piece is copied: what surrounds one costs more than its bytes. */
const COPIED_BYTES_MAX = 1024;

/** A block of copied pieces grows up to this. */
const BLOCK_BYTES_MAX = 64 * 1024;

/**
 * Bytes that wait, first in, first out. Large pieces are kept as views; small ones, and small parts
 * of large buffers, are gathered in blocks, so that memory is in proportion to the bytes.
 */
export class ByteQueue {
  readonly #pieces: Uint8Array[] = [];
  /** Copied pieces behind `#pieces`; the first `#blockFilled` bytes of it are in use. */
  #block: Uint8Array | undefined;
  #blockFilled = 0;
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  append(piece: Uint8Array): void {
    this.#bytes += piece.length;
    if (isCopied(piece)) {
      this.#copy(piece);
    } else {
      this.#seal();
      this.#pieces.push(piece);
    }
  }

  /** Removes the first piece; undefined when there is none. */
  shift(): Uint8Array | undefined {
    if (this.#pieces.length === 0) this.#seal();
    const piece = this.#pieces.shift();
    this.#bytes -= piece?.length ?? 0;
    return piece;
  }

  #copy(piece: Uint8Array): void {
    const filled = this.#blockFilled + piece.length;
    if (this.#block === undefined || filled > BLOCK_BYTES_MAX) {
      this.#seal();
      // Not slice(), which for a Node Buffer is a view.
      this.#block = new Uint8Array(piece);
      this.#blockFilled = piece.length;
      return;
    }
    if (filled > this.#block.length) {
      const block = new Uint8Array(Math.min(2 * filled, BLOCK_BYTES_MAX));
      block.set(this.#block);
      this.#block = block;
    }
    this.#block.set(piece, this.#blockFilled);
    this.#blockFilled = filled;
  }

  /** Makes a piece of the block: it is not written to any more. */
  #seal(): void {
    if (this.#block === undefined) return;
    this.#pieces.push(this.#block.subarray(0, this.#blockFilled));
    this.#block = undefined;
    this.#blockFilled = 0;
  }
}

/** A view keeps the whole buffer behind it in memory, so a small part of a large one is copied. */
function isCopied(piece: Uint8Array): boolean {
  return piece.length <= COPIED_BYTES_MAX || piece.length * 2 < piece.buffer.byteLength;
}
