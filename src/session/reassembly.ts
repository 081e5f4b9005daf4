import { ProtocolError } from '../wire/protocol-error.ts';

/** Runs a stream may have: more than turns on a few lanes can make, and still no burden. */
const RUNS_MAX = 4096;

/** Up to this, a piece is copied: what surrounds one costs more than its bytes. */
const COPIED_BYTES_MAX = 1024;

/** A block of copied pieces grows up to this. */
const BLOCK_BYTES_MAX = 64 * 1024;

/**
 * DATA that arrived above a gap, until the gap is filled. Pieces never overlap. What extends a run
 * at its end joins it; two runs that come to touch stay two, since to join them would take time in
 * proportion to their pieces. Memory is in proportion to `heldBytes`, whatever the peer sends.
 */
export class Reassembly {
  /** In order of their offsets, none of them empty. */
  readonly #runs: Run[] = [];
  #heldBytes = 0;

  get heldBytes(): number {
    return this.#heldBytes;
  }

  get empty(): boolean {
    return this.#runs.length === 0;
  }

  /**
   * Keeps what of `bytes`, which begin at `offset`, is not held yet; returns how many bytes that
   * are. They may be kept as views. Throws {@link ProtocolError} `reassembly`.
   */
  insert(offset: number, bytes: Uint8Array): number {
    let held = 0;
    const end = offset + bytes.length;
    let index = this.#lastAtOrBelow(offset);
    let at = index < 0 ? offset : Math.max(offset, this.#runs[index]!.end);
    while (at < end) {
      const next = this.#runs[index + 1];
      const until = next === undefined ? end : Math.min(end, next.start);
      if (at < until) {
        index = this.#add(index, at, bytes.subarray(at - offset, until - offset));
        held += until - at;
      }
      if (next === undefined) break;
      at = next.end;
      index++;
    }
    this.#heldBytes += held;
    return held;
  }

  /**
   * Removes and returns the next piece that begins at or below `offset`, trimmed to begin there;
   * pieces that end there or below are dropped. To be repeated until there is none.
   */
  take(offset: number): Uint8Array | undefined {
    for (let run = this.#runs[0]; run !== undefined; run = this.#runs[0]) {
      const { start } = run;
      if (start > offset) return undefined;
      const piece = run.shift();
      this.#heldBytes -= piece.length;
      if (run.start === run.end) this.#runs.shift();
      if (start === offset) return piece;
      if (run.start > offset) return piece.subarray(offset - start);
    }
    return undefined;
  }

  /** Keeps a piece that fits behind the run at `index`; returns the index of the run it is in. */
  #add(index: number, at: number, piece: Uint8Array): number {
    const run = this.#runs[index];
    if (run?.end === at) {
      run.append(piece);
      return index;
    }
    if (this.#runs.length >= RUNS_MAX) {
      throw new ProtocolError('reassembly', `DATA at ${at} beside ${RUNS_MAX} runs that wait`);
    }
    const added = new Run(at);
    added.append(piece);
    this.#runs.splice(index + 1, 0, added);
    return index + 1;
  }

  /** Index of the last run that begins at or below `offset`, or -1. Mostly it is the last one. */
  #lastAtOrBelow(offset: number): number {
    let high = this.#runs.length - 1;
    if (high < 0 || this.#runs[high]!.start <= offset) return high;
    let low = -1;
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      if (this.#runs[middle]!.start <= offset) low = middle;
      else high = middle;
    }
    return low;
  }
}

/** Pieces without a gap between them, each from `start` on. */
class Run {
  start: number;
  end: number;
  readonly #pieces: Uint8Array[] = [];
  /** Copied pieces behind `#pieces`; the first `#blockFilled` bytes of it are in use. */
  #block: Uint8Array | undefined;
  #blockFilled = 0;

  constructor(start: number) {
    this.start = start;
    this.end = start;
  }

  append(piece: Uint8Array): void {
    this.end += piece.length;
    if (isCopied(piece)) {
      this.#copy(piece);
    } else {
      this.#seal();
      this.#pieces.push(piece);
    }
  }

  /** Removes the first piece. */
  shift(): Uint8Array {
    if (this.#pieces.length === 0) this.#seal();
    const piece = this.#pieces.shift()!;
    this.start += piece.length;
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
