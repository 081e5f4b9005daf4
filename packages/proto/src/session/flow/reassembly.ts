import { invariant } from '../../base/errors.ts';
import { ProtocolError } from '../../wire/protocol-error.ts';
import { ByteQueue } from './byte-queue.ts';

/**
 * A stream may have so many runs, and one more for each so many bytes from the first to the last. A
 * run begins where one lane has overtaken another. A sender leaves the stream's primary lane only for turns
 * of 32 KiB or more, and each of those makes two runs at most: itself, and what the primary lane sends behind
 * it, however little. What is said again after a lane was lost can begin in the middle of a gap, so
 * twice as many are allowed. Those allowed anyway are for streams that change their primary lane.
 */
const RUNS_MIN = 64;
const RUN_REACH_BYTES = 8 * 1024;

/**
 * DATA that arrived above a gap, until the gap is filled. ByteQueue never overlap. What extends a run
 * at its end joins it; two runs that come to touch stay two, since to join them would take time in
 * proportion to their pieces. A run costs some hundred bytes beside those it holds, and their number
 * follows the window that was granted, so memory is in proportion to what the budget has counted.
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
      invariant(
        run.start <= run.end && this.#heldBytes >= 0,
        'a run is shorter than it says',
        start,
      );
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
    const runs = this.#runs.length;
    if (runs >= this.#runsMax(at, at + piece.length)) {
      throw new ProtocolError('reassembly', `DATA at ${at} beside ${runs} runs that wait`);
    }
    const added = new Run(at);
    added.append(piece);
    this.#runs.splice(index + 1, 0, added);
    return index + 1;
  }

  /** With one at `start..end` among them. */
  #runsMax(start: number, end: number): number {
    const first = Math.min(start, this.#runs[0]?.start ?? start);
    const last = Math.max(end, this.#runs.at(-1)?.end ?? end);
    return RUNS_MIN + Math.floor((last - first) / RUN_REACH_BYTES);
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

/** ByteQueue without a gap between them, each from `start` on. */
class Run {
  start: number;
  end: number;
  readonly #pieces = new ByteQueue();

  constructor(start: number) {
    this.start = start;
    this.end = start;
  }

  append(piece: Uint8Array): void {
    this.end += piece.length;
    this.#pieces.append(piece);
  }

  /** Removes the first piece; there is one, for no run is empty. */
  shift(): Uint8Array {
    const piece = this.#pieces.shift()!;
    this.start += piece.length;
    return piece;
  }
}
