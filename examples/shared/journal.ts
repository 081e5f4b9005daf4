import {
  appendFileSync,
  closeSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readFileSync,
} from 'node:fs';
import { dirname } from 'node:path';

/** Records in a file that only grows, a line of JSON each. */
export class Journal<T> {
  readonly #path: string;
  readonly #records: T[];
  readonly #file: number;
  #failure: Error | undefined;

  constructor(path: string) {
    this.#path = path;
    this.#file = openSync(path, 'a+');
    const text = readFileSync(path, 'utf8');
    // What a crash has left half-written was never confirmed to anybody.
    const whole = text.slice(0, text.lastIndexOf('\n') + 1);
    ftruncateSync(this.#file, Buffer.byteLength(whole));
    syncDirectory(dirname(path));
    this.#records = whole
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as T);
  }

  get records(): readonly T[] {
    return this.#records;
  }

  /**
   * They are on the disk when it returns. Once it has failed, on a full disk say, nobody knows what is
   * on the disk: it takes nothing more until it is opened again, which cuts off what is half-written.
   */
  append(...records: T[]): void {
    if (records.length === 0) return;
    if (this.#failure !== undefined) throw this.#failure;
    try {
      // Unlike writeSync it writes all, or throws.
      appendFileSync(this.#file, records.map((record) => `${JSON.stringify(record)}\n`).join(''));
      fsyncSync(this.#file);
    } catch (cause) {
      const why = `${this.#path}: ${(cause as Error).message}; make room and start again`;
      this.#failure = new Error(why, { cause });
      throw this.#failure;
    }
    this.#records.push(...records);
  }

  close(): void {
    closeSync(this.#file);
  }
}

/** A new file outlives a power failure when its name does, too. */
function syncDirectory(path: string): void {
  const directory = openSync(path, 'r');
  fsyncSync(directory);
  closeSync(directory);
}
