import { closeSync, fsyncSync, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs';

/** Records in a file that only grows, a line of JSON each. */
export class Journal<T> {
  readonly #records: T[];
  readonly #file: number;

  constructor(path: string) {
    this.#file = openSync(path, 'a+');
    const text = readFileSync(path, 'utf8');
    // What a crash has left half-written was never confirmed to anybody.
    const whole = text.slice(0, text.lastIndexOf('\n') + 1);
    ftruncateSync(this.#file, Buffer.byteLength(whole));
    this.#records = whole
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as T);
  }

  get records(): readonly T[] {
    return this.#records;
  }

  /** They are on the disk when it returns. */
  append(...records: T[]): void {
    if (records.length === 0) return;
    writeSync(this.#file, records.map((record) => `${JSON.stringify(record)}\n`).join(''));
    fsyncSync(this.#file);
    this.#records.push(...records);
  }

  close(): void {
    closeSync(this.#file);
  }
}
