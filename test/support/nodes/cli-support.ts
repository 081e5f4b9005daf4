import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { NodeStatus } from '../../../packages/routy/src/status/status.ts';

export const CLI = fileURLToPath(
  new URL('../../../packages/routy/dist/cli/main.js', import.meta.url),
);
assert.ok(existsSync(CLI), 'packages/routy/dist/cli/main.js is missing: npm run build');

export interface Finished {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs one command to its end. */
export function cli(...args: readonly string[]): Promise<Finished> {
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [CLI, ...args], { timeout: 90_000 }, (error, stdout, stderr) => {
      const code = error === null ? 0 : error.code;
      if (typeof code === 'number') resolve({ code, stdout, stderr });
      else reject(new Error(`routy ${args.join(' ')} was killed\n${stdout}${stderr}`));
    });
  });
}

/** Runs a line of bash, in which `$ROUTY` is the script and the whole pipe counts. */
export function shell(line: string): Promise<Finished> {
  return new Promise((resolve) => {
    const env = { ...process.env, ROUTY: CLI };
    const args = ['-o', 'pipefail', '-c', line];
    execFile('bash', args, { timeout: 90_000, env }, (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, stdout, stderr });
    });
  });
}

/** The same for a command that has to succeed. */
export async function cliOk(...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await cli(...args);
  assert.equal(code, 0, `routy ${args.join(' ')}\n${stdout}${stderr}`);
  return stdout;
}

/** The same with `--json`, parsed. */
export async function cliJson<T>(...args: readonly string[]): Promise<T> {
  return JSON.parse(await cliOk(...args, '--json')) as T;
}

/** A directory that goes away with the test. */
export function scratch(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'routy-cli-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** Configuration and state of one node in a directory. */
export class Home {
  readonly config: string;
  readonly state: string;

  constructor(directory: string, name: string) {
    this.config = join(directory, `${name}.toml`);
    this.state = join(directory, name);
  }

  /** For commands on a node that exists. */
  get at(): string[] {
    return ['--config', this.config];
  }

  /** For commands that make it. */
  get made(): string[] {
    return ['--config', this.config, '--state', this.state];
  }
}

/** A command that goes on until it is stopped, at the latest by the end of the test. */
export class Running {
  readonly #child: ChildProcess;
  readonly #exit: Promise<number | string>;
  #output = '';
  #waiting = new Set<() => void>();

  constructor(t: TestContext, ...args: readonly string[]) {
    this.#child = spawn(process.execPath, [CLI, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#output += text;
        for (const look of this.#waiting) look();
      });
    }
    this.#exit = new Promise((resolve) => {
      this.#child.on('close', (code, signal) => {
        resolve(code ?? signal ?? 'unknown');
        for (const look of this.#waiting) look();
      });
    });
    t.after(async () => {
      this.#child.kill('SIGKILL');
      await this.#exit;
    });
  }

  get output(): string {
    return this.#output;
  }

  get pid(): number {
    assert.ok(this.#child.pid !== undefined);
    return this.#child.pid;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Resolves when the process has a handler for the signal (Linux only). */
  async handles(signal: 'SIGHUP'): Promise<void> {
    const bit = 1n << BigInt(constants.signals[signal] - 1);
    for (;;) {
      const status = readFileSync(`/proc/${this.pid}/status`, 'utf8');
      const caught = /^SigCgt:\t([0-9a-f]+)$/m.exec(status);
      if (caught !== null && (BigInt(`0x${caught[1]}`) & bit) !== 0n) return;
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }

  /** Exit code, or the signal that ended it. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | string> {
    this.#child.kill(signal);
    return this.#exit;
  }

  exited(): Promise<number | string> {
    return this.#exit;
  }

  /** The first match in what it has printed or prints from now on. */
  printed(pattern: RegExp, deadlineMs = 15_000): Promise<RegExpExecArray> {
    return new Promise((resolve, reject) => {
      const settle = (act: () => void): void => {
        clearTimeout(timer);
        this.#waiting.delete(look);
        act();
      };
      const look = (): void => {
        const match = pattern.exec(this.#output);
        if (match !== null) settle(() => resolve(match));
        else if (this.#child.exitCode !== null) settle(() => reject(this.#missing(pattern)));
      };
      const timer = setTimeout(() => settle(() => reject(this.#missing(pattern))), deadlineMs);
      this.#waiting.add(look);
      look();
    });
  }

  #missing(pattern: RegExp): Error {
    return new Error(`${pattern} was not printed, but:\n${this.#output}`);
  }
}

/** Asks for the status until `check` holds. */
export async function untilStatus(
  home: Home,
  check: (status: NodeStatus) => boolean,
  deadlineMs = 15_000,
): Promise<NodeStatus> {
  const until = performance.now() + deadlineMs;
  for (;;) {
    const status = await cliJson<NodeStatus>('status', ...home.at);
    if (check(status)) return status;
    assert.ok(performance.now() < until, `status never as wanted: ${JSON.stringify(status)}`);
  }
}

/** A server on a free port that sends back what it gets; closed with the test. */
export async function echoServer(t: TestContext): Promise<string> {
  const server: Server = createServer((socket) => {
    socket.on('error', () => {});
    socket.pipe(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => new Promise<void>((resolve) => server.close(() => resolve())));
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  return `127.0.0.1:${address.port}`;
}
