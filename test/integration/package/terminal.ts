import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

const ANSWER_TIMEOUT_MS = 30_000;

/** Whatever comes of an attempt to dial; attempts go on. */
const ATTEMPT = /^not reached: /;

/** A terminal as documents show them: commands, what is typed, and what is printed, line by line. */
export class Terminal {
  readonly #name: string;
  readonly #directory: string;
  readonly #typed: readonly string[];
  #child: ChildProcess | undefined;
  #exited: Promise<unknown> = Promise.resolve();
  /** Printed, and not expected yet. */
  readonly #unread: string[] = [];
  #wake: () => void = () => undefined;
  /** What it has printed and what was typed, for whoever has to see why a test failed. */
  readonly #all: string[] = [];

  /** `typed` are the lines of a document that are typed and not printed. */
  constructor(name: string, directory: string, typed: readonly string[]) {
    this.#name = name;
    this.#directory = directory;
    this.#typed = typed;
  }

  /** Goes through a block: types what is typed in it, and waits for what is printed. */
  async follow(block: string): Promise<void> {
    for (const line of block.trimEnd().split('\n')) {
      if (line.startsWith('$ ')) await this.#start(line.slice(2));
      else if (line === '^C') await this.#interrupt();
      else if (line === '^D') this.#child!.stdin!.end();
      else if (this.#typed.includes(line)) this.#child!.stdin!.write(`${line}\n`);
      else await this.#expect(line);
      this.#all.push(line);
    }
  }

  /** Its last program ends; nothing was printed that the document does not show. */
  async end(): Promise<void> {
    await this.#over();
  }

  /** Whatever it does. */
  async kill(): Promise<void> {
    this.#child?.kill('SIGKILL');
    await this.#exited;
  }

  async #start(command: string): Promise<void> {
    await this.#over();
    const child = spawn('bash', ['-c', `exec ${command}`], { cwd: this.#directory });
    this.#child = child;
    // After the last of its output.
    this.#exited = once(child, 'close');
    for (const output of [child.stdout, child.stderr]) {
      createInterface({ input: output }).on('line', (line) => {
        this.#unread.push(line);
        this.#wake();
      });
    }
    child.stdin.on('error', () => undefined);
  }

  async #interrupt(): Promise<void> {
    this.#child!.kill('SIGINT');
    await this.#over();
  }

  /** The program ends; all that it has printed was expected. */
  async #over(): Promise<void> {
    await this.#inTime(this.#exited, 'its program to end');
    assert.deepEqual(this.#unread, [], `in the terminal ${this.#name}, after ${this.#said()}`);
    const status = this.#child?.exitCode ?? 0;
    assert.equal(status, 0, `in the terminal ${this.#name}, after ${this.#said()}`);
  }

  async #expect(line: string): Promise<void> {
    while (this.#unread.length === 0) {
      const printed = new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      await this.#inTime(printed, line);
    }
    const printed = this.#unread.shift()!;
    // Of attempts to dial a program that is just ending, the first may still find its listener.
    if (printed !== line && ATTEMPT.test(printed) && ATTEMPT.test(line)) {
      await this.#expect(line);
      return;
    }
    assert.equal(printed, line, `in the terminal ${this.#name}, after ${this.#said()}`);
  }

  async #inTime(event: Promise<unknown>, awaited: string): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise((_, reject) => {
      const text = `the terminal ${this.#name} waits for: ${awaited}\nafter ${this.#said()}`;
      timer = setTimeout(() => reject(new Error(text)), ANSWER_TIMEOUT_MS);
    });
    await Promise.race([event, late]).finally(() => clearTimeout(timer));
  }

  #said(): string {
    return `\n${this.#all.slice(-12).join('\n')}`;
  }
}
