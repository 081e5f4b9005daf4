/** What the demo tells, with the seconds since it began in front of each heading. */
export class Story {
  readonly #write: (text: string) => void;
  readonly #startMs = performance.now();

  constructor(write: (text: string) => void) {
    this.#write = write;
  }

  /** Seconds since the beginning, as `12.3 s`. */
  get elapsed(): string {
    return `${((performance.now() - this.#startMs) / 1000).toFixed(1)} s`;
  }

  heading(text: string): void {
    this.#write(`\n${this.elapsed.padStart(7)}  ${text}\n`);
  }

  /** One or more lines below the heading. */
  tell(...lines: readonly string[]): void {
    for (const line of lines) this.#write(line === '' ? '\n' : `${INDENT}${line}\n`);
  }

  /** Text of another command, set apart. */
  quote(text: string): void {
    for (const line of text.trimEnd().split('\n')) this.tell(line === '' ? '' : `| ${line}`);
  }
}

const INDENT = ' '.repeat(9);
