import type { Output } from './output.ts';

/** Lines that could not be written. */
export interface LostLines {
  readonly lines: number;
  /** When the first one was lost, Unix ms. */
  readonly sinceMs: number;
}

export interface LineWriterOptions {
  /** Bytes kept for a reader that does not read at the moment. */
  readonly bufferMax: number;
  /** Lines were lost, and there is room again. May write, at the place where they are missing. */
  readonly onRelief: (lost: LostLines) => void;
  readonly nowMs?: () => number;
}

const RETRY_MS_MIN = 10;
const RETRY_MS_MAX = 250;
/** Given to the output at a time: what a pipe of Linux holds. */
const CHUNK_BYTES = 64 * 1024;
const FLUSH_STEP_MS = 5;
const NEWLINE = 0x0a;

/**
 * Writes lines in order and never waits for their reader: what cannot be written at once is kept up
 * to a limit and tried again; what comes beyond it is lost and counted.
 */
export class LineWriter {
  readonly #output: Output;
  readonly #options: LineWriterOptions;
  readonly #nowMs: () => number;
  /** Oldest first; of the first one only what is left of it. */
  #kept: Uint8Array[] = [];
  #keptBytes = 0;
  #retry: NodeJS.Timeout | undefined;
  #retryMs = RETRY_MS_MIN;
  #lost: LostLines | undefined;
  #lostInAll = 0;
  /** The output ends in the middle of a line. */
  #torn = false;

  constructor(output: Output, options: LineWriterOptions) {
    this.#output = output;
    this.#options = options;
    this.#nowMs = options.nowMs ?? Date.now;
  }

  /** Lines lost since the start. */
  get lostInAll(): number {
    return this.#lostInAll;
  }

  /** Since when lines are lost that `onRelief` has not told of, Unix ms. */
  get losingSinceMs(): number | undefined {
    return this.#lost?.sinceMs;
  }

  write(line: string): void {
    const healing = this.#torn && this.#kept.length === 0 ? '\n' : '';
    const bytes = Buffer.from(healing + line);
    if (this.#keptBytes > 0 && this.#keptBytes + bytes.length > this.#room()) {
      this.#lose(1);
      return;
    }
    this.#kept.push(bytes);
    this.#keptBytes += bytes.length;
    if (this.#retry === undefined) this.#advance();
  }

  /** Writes what is kept, waiting for the reader at most so long. For the end of the process. */
  flush(timeoutMs: number): void {
    const untilMs = performance.now() + timeoutMs;
    const never = new Int32Array(new SharedArrayBuffer(4));
    this.#advance();
    while (this.#kept.length > 0 && performance.now() < untilMs) {
      Atomics.wait(never, 0, 0, FLUSH_STEP_MS);
      this.#advance();
    }
    clearTimeout(this.#retry);
    this.#retry = undefined;
  }

  /** Once lines are lost, half of the buffer must be free before another is kept: one gap, not many. */
  #room(): number {
    return this.#lost === undefined ? this.#options.bufferMax : this.#options.bufferMax / 2;
  }

  #advance(): void {
    clearTimeout(this.#retry);
    this.#retry = undefined;
    while (this.#kept.length > 0) {
      if (this.#writeSome()) continue;
      this.#retry = setTimeout(() => this.#advance(), this.#retryMs);
      this.#retry.unref();
      this.#retryMs = Math.min(2 * this.#retryMs, RETRY_MS_MAX);
      return;
    }
  }

  /** False when the reader has to make room first. */
  #writeSome(): boolean {
    const chunk = this.#chunk();
    try {
      const written = this.#output.write(chunk);
      this.#retryMs = RETRY_MS_MIN;
      if (written > 0) this.#torn = chunk[written - 1] !== NEWLINE;
      this.#forget(written);
      if (this.#lost !== undefined && this.#keptBytes <= this.#room()) this.#relieve(this.#lost);
      return written === chunk.length;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EAGAIN' || code === 'EINTR') return false;
      // The reader has gone, the disk is full: that is no reason to keep the next line back.
      this.#lose(this.#kept.length);
      this.#kept = [];
      this.#keptBytes = 0;
      return true;
    }
  }

  #chunk(): Uint8Array {
    const parts: Uint8Array[] = [];
    let bytes = 0;
    for (const part of this.#kept) {
      parts.push(part);
      bytes += part.length;
      if (bytes >= CHUNK_BYTES) break;
    }
    return parts.length === 1 ? parts[0]! : Buffer.concat(parts);
  }

  #forget(written: number): void {
    this.#keptBytes -= written;
    let whole = 0;
    let left = written;
    while (whole < this.#kept.length && left >= this.#kept[whole]!.length) {
      left -= this.#kept[whole]!.length;
      whole += 1;
    }
    if (whole > 0) this.#kept.splice(0, whole);
    if (left > 0) this.#kept[0] = this.#kept[0]!.subarray(left);
  }

  #lose(lines: number): void {
    this.#lostInAll += lines;
    const { lines: before, sinceMs } = this.#lost ?? { lines: 0, sinceMs: this.#nowMs() };
    this.#lost = { lines: before + lines, sinceMs };
  }

  #relieve(lost: LostLines): void {
    this.#lost = undefined;
    this.#options.onRelief(lost);
    // What was to tell of them was lost itself.
    const again = this.#lost as LostLines | undefined;
    if (again === undefined) return;
    this.#lost = { lines: lost.lines + again.lines, sinceMs: lost.sinceMs };
  }
}
