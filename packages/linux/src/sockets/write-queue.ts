import { ByteQueue } from '@routy/proto/session';
import { GATHERED_MAX, type System } from '../system/system.ts';
import { EAGAIN } from '../system/system-error.ts';

/**
 * What a socket is to write. Pieces are written together, as they are; those that have to wait for the
 * system hold no more memory than they need.
 */
export class WriteQueue {
  readonly #system: System;
  /** First in line; of the first one the part that is left. */
  #front: Uint8Array[] = [];
  #waiting = new ByteQueue();
  #bytes = 0;
  #isBlocked = false;

  constructor(system: System) {
    this.#system = system;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** The system took less than there was: it says when it takes more. */
  get isBlocked(): boolean {
    return this.#isBlocked;
  }

  add(piece: Uint8Array): void {
    if (piece.length === 0) return;
    this.#bytes += piece.length;
    if (this.#isBlocked) this.#waiting.append(piece);
    else this.#front.push(piece);
  }

  /** Writes as much as the system takes. The number of bytes, or its error. */
  write(fd: number): number {
    let written = 0;
    this.#isBlocked = false;
    while (this.#fill()) {
      const wanted = lengthOf(this.#front);
      const taken = this.#system.writeGathered(fd, this.#front);
      if (taken < 0 && taken !== EAGAIN) return taken;
      if (taken > 0) {
        written += taken;
        this.#bytes -= taken;
        this.#drop(taken);
      }
      if (taken < wanted) {
        this.#block();
        break;
      }
    }
    return written;
  }

  /**
   * Writes a piece at once, behind what waits, and keeps a copy of what the system does not take: its
   * memory is the caller's again. The number of bytes taken, or the system's error.
   */
  writeThrough(fd: number, piece: Uint8Array): number {
    const isNext = this.#bytes === 0 && !this.#isBlocked && piece.length > 0;
    const taken = isNext ? this.#system.writeGathered(fd, [piece]) : 0;
    if (taken < 0 && taken !== EAGAIN) return taken;
    const written = Math.max(0, taken);
    // A blocked queue keeps what it is given to itself.
    if (isNext && written < piece.length) this.#isBlocked = true;
    if (written < piece.length) this.add(Buffer.from(piece.subarray(written)));
    return written;
  }

  /** What is in it goes nowhere. The number of bytes. */
  clear(): number {
    const bytes = this.#bytes;
    this.#front = [];
    this.#waiting = new ByteQueue();
    this.#bytes = 0;
    this.#isBlocked = false;
    return bytes;
  }

  /** False: nothing is left. */
  #fill(): boolean {
    while (this.#front.length < GATHERED_MAX) {
      const piece = this.#waiting.shift();
      if (piece === undefined) break;
      this.#front.push(piece);
    }
    return this.#front.length > 0;
  }

  /** The pieces may be small parts of large buffers, and may wait long. */
  #block(): void {
    this.#isBlocked = true;
    if (this.#waiting.bytes > 0) return;
    for (const piece of this.#front) this.#waiting.append(piece);
    this.#front = [];
  }

  #drop(bytes: number): void {
    let left = bytes;
    let whole = 0;
    while (whole < this.#front.length && this.#front[whole]!.length <= left) {
      left -= this.#front[whole]!.length;
      whole++;
    }
    this.#front.splice(0, whole);
    if (left > 0) this.#front[0] = this.#front[0]!.subarray(left);
  }
}

/** Of those that one call takes. */
function lengthOf(pieces: readonly Uint8Array[]): number {
  let bytes = 0;
  for (let n = Math.min(pieces.length, GATHERED_MAX) - 1; n >= 0; n--) bytes += pieces[n]!.length;
  return bytes;
}
