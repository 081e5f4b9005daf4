import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** What a finished command left behind. `code` is 128 + signal number's stand-in -1 when killed. */
export interface Finished {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string;
  /** The command is killed after this long; 60 s by default. */
  readonly timeoutMs?: number;
}

/** Runs a command to its end. Never rejects for an exit code; see {@link runOk}. */
export function run(
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<Finished> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd: options.cwd,
      env: { ...process.env, ...options.env },
      stdio: ['pipe', 'pipe', 'pipe'],
      timeout: options.timeoutMs ?? 60_000,
      killSignal: 'SIGKILL',
    });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
    child.on('error', reject);
    // A command that ends without reading its input is judged by its exit code.
    child.stdin.on('error', () => {});
    child.stdin.end(options.input ?? '');
    child.on('close', (code) => {
      resolve({
        code: code ?? -1,
        stdout: Buffer.concat(stdout).toString(),
        stderr: Buffer.concat(stderr).toString(),
      });
    });
  });
}

/** Runs a command that has to succeed and gives its standard output. */
export async function runOk(
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<string> {
  const finished = await run(command, args, options);
  if (finished.code !== 0) {
    throw new Error(
      `${command} ${args.join(' ')} ended with ${finished.code}\n${finished.stdout}${finished.stderr}`,
    );
  }
  return finished.stdout;
}

export interface UntilOptions {
  readonly deadlineMs?: number;
  readonly intervalMs?: number;
}

/**
 * Polls until `check` gives something other than false or undefined, and gives that. An error of
 * `check` counts as "not yet" and is quoted when the deadline passes.
 */
export async function until<T>(
  what: string,
  check: () => T | Promise<T>,
  options: UntilOptions = {},
): Promise<Exclude<T, false | undefined>> {
  const deadlineMs = options.deadlineMs ?? 30_000;
  const endMs = performance.now() + deadlineMs;
  let last: unknown;
  for (;;) {
    try {
      const value = await check();
      if (value !== false && value !== undefined) return value as Exclude<T, false | undefined>;
      last = undefined;
    } catch (error) {
      last = error;
    }
    if (performance.now() > endMs) {
      const why = last instanceof Error ? `; last error: ${last.message}` : '';
      throw new Error(`not within ${deadlineMs} ms: ${what}${why}`);
    }
    await sleep(options.intervalMs ?? 50);
  }
}

const alive = new Set<Daemon>();

/** The last resort: whatever a test file started ends with it, by its own pid. */
process.on('exit', () => {
  for (const daemon of alive) daemon.signal('SIGKILL');
});

export interface DaemonOptions extends Omit<RunOptions, 'input' | 'timeoutMs'> {
  /** Both standard output and error go to this file. */
  readonly logFile: string;
  /** Opens a node IPC channel to the child. */
  readonly ipc?: boolean;
}

/** A long-running child process whose output goes to a file. */
export class Daemon {
  readonly name: string;
  readonly logFile: string;
  readonly child: ChildProcess;
  /** Settles with the exit code, or -1 when a signal ended it. */
  readonly exited: Promise<number>;
  private exitCode: number | undefined;

  constructor(name: string, command: string, args: readonly string[], options: DaemonOptions) {
    this.name = name;
    this.logFile = options.logFile;
    const log = openSync(options.logFile, 'a');
    this.child = spawn(command, args, {
      cwd: options.cwd,
      env: { ...process.env, ...options.env },
      stdio: options.ipc === true ? ['ignore', log, log, 'ipc'] : ['ignore', log, log],
    });
    closeSync(log);
    alive.add(this);
    this.exited = new Promise((resolve) => {
      const settle = (code: number): void => {
        this.exitCode ??= code;
        alive.delete(this);
        resolve(this.exitCode);
      };
      this.child.on('error', () => settle(-1));
      this.child.on('exit', (code) => settle(code ?? -1));
    });
  }

  get pid(): number {
    if (this.child.pid === undefined) throw new Error(`${this.name} did not start`);
    return this.child.pid;
  }

  get running(): boolean {
    return this.exitCode === undefined;
  }

  /** Everything it has printed so far. */
  output(): string {
    return readFileSync(this.logFile, 'utf8');
  }

  /** Waits for a match in what it printed after the first `from` characters. */
  waitFor(
    pattern: RegExp,
    options: UntilOptions & { from?: number } = {},
  ): Promise<RegExpExecArray> {
    return until(
      `${this.name} prints ${pattern}`,
      () => {
        const match = pattern.exec(this.output().slice(options.from ?? 0));
        if (match === null && !this.running) {
          throw new Error(
            `${this.name} ended with ${this.exitCode}:\n${this.output().slice(-4000)}`,
          );
        }
        return match ?? undefined;
      },
      options,
    );
  }

  signal(signal: NodeJS.Signals): void {
    if (this.running) this.child.kill(signal);
  }

  /** Asks it to end, and after `graceMs` makes it. Gives the exit code. */
  async stop(signal: NodeJS.Signals = 'SIGTERM', graceMs = 15_000): Promise<number> {
    this.signal(signal);
    const timer = setTimeout(() => this.signal('SIGKILL'), graceMs);
    const code = await this.exited;
    clearTimeout(timer);
    return code;
  }
}
