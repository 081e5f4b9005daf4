import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

/** What `npm run demo` does after it has built, which tests that run at the same time do not bear. */
const MAIN = new URL('../../../demo/main.ts', import.meta.url).href;
const SCRIPT = `process.exitCode = await (await import('${MAIN}')).main(process.argv.slice(1))`;

/** A demo that runs or has run, in a directory for temporary files of its own. */
export interface Demo {
  readonly temporary: string;
  /** What it has printed so far, both streams. */
  readonly output: string;
  /** Its exit code, or the signal that ended it. */
  readonly exit: Promise<number | NodeJS.Signals>;
  signal(signal: NodeJS.Signals): void;
  /** Resolves when the pattern has been printed; rejects when the demo ends or the time is over. */
  printed(pattern: RegExp, deadlineMs: number): Promise<void>;
}

/** Starts the demo; the end of the test ends it. */
export function runDemo(t: TestContext, ...options: readonly string[]): Demo {
  const temporary = scratch(t);
  const args = ['--import', 'tsx', '--input-type=module', '--eval', SCRIPT, '--', ...options];
  const child = spawn(process.execPath, args, {
    env: { ...process.env, TMPDIR: temporary, TSX_DISABLE_CACHE: '1' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const demo = new RunningDemo(child, temporary);
  t.after(async () => {
    // Not SIGKILL: the demo has to take its own processes down.
    child.kill('SIGTERM');
    await demo.exit;
  });
  return demo;
}

class RunningDemo implements Demo {
  readonly temporary: string;
  readonly exit: Promise<number | NodeJS.Signals>;
  output = '';
  readonly #child: ChildProcess;

  constructor(child: ChildProcess, temporary: string) {
    this.#child = child;
    this.temporary = temporary;
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.output += text;
      });
    }
    this.exit = new Promise((resolve) => {
      child.on('close', (code, signal) => resolve(code ?? signal ?? 'SIGKILL'));
    });
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  printed(pattern: RegExp, deadlineMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => missing(), deadlineMs);
      const missing = (): void => {
        clearTimeout(timer);
        reject(new Error(`${pattern} was not printed, but:\n${this.output}`));
      };
      const look = (): void => {
        if (!pattern.test(this.output)) return;
        clearTimeout(timer);
        this.#child.stdout?.off('data', look);
        resolve();
      };
      this.#child.stdout?.on('data', look);
      void this.exit.then(missing);
      look();
    });
  }
}

/** A directory that goes away with the test. */
export function scratch(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'routy-test-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}
