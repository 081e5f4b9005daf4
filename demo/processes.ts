import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { RoutyError } from '@routy/proto/base';
import { AdminClient } from '../packages/routy/src/admin/client.ts';
import { adminSocketPath } from '../packages/routy/src/cli/context.ts';
import type { Stage } from './stage.ts';
import type { Story } from './story.ts';

/** A node drains for 3 s at most; longer means it hangs. In ms. */
const STOP_TIMEOUT_MS = 8_000;
const LOG_LINES_SHOWN = 5;
const WIDTH_MAX = 88;

const CLI = fileURLToPath(new URL('../packages/routy/dist/cli/main.js', import.meta.url));
const DATABASE = fileURLToPath(new URL('databases/database-process.ts', import.meta.url));
/** By its place: a process started elsewhere would not find it. */
const TSX = import.meta.resolve('tsx');

export type SiteName = 'gray' | 'red';

/** One side of the firewall: what a person would have typed there. */
export class Side {
  readonly site: SiteName;
  /** As printed: relative to the demo's directory. */
  readonly config: string;
  readonly state: string;
  readonly admin: AdminClient;
  readonly logPath: string;
  readonly #stage: Stage;
  readonly #story: Story;
  #node: ChildProcess | undefined;

  constructor(site: SiteName, stage: Stage, story: Story) {
    this.site = site;
    this.config = `${site}.toml`;
    this.state = `${site}-state`;
    this.logPath = join(stage.directory, `${site}.log`);
    this.admin = new AdminClient(adminSocketPath(join(stage.directory, this.state)));
    this.#stage = stage;
    this.#story = story;
    stage.onEnd(() => this.stop());
  }

  get configPath(): string {
    return join(this.#stage.directory, this.config);
  }

  /** Process of the running node. */
  get pid(): number {
    const pid = this.#node?.pid;
    if (pid === undefined) throw new RoutyError('internal', `${this.site}'s routy does not run`);
    return pid;
  }

  /** Prints and runs one command to its end; gives what it wrote to stdout. */
  async run(...args: readonly string[]): Promise<string> {
    this.#print(args, '');
    const { directory, signal } = this.#stage;
    return new Promise((resolve, reject) => {
      const options = { cwd: directory, env: environment(), signal };
      execFile(process.execPath, [CLI, ...args], options, (error, stdout, stderr) => {
        if (error === null) resolve(stdout);
        else if (signal.aborted) reject(signal.reason);
        else reject(commandFailed(args, stderr.trim()));
      });
    });
  }

  /** Prints and starts `routy up`; its log goes to a file. */
  up(): void {
    const args = ['up', '--config', this.config];
    const log = openSync(this.logPath, 'a', 0o600);
    const child = spawn(process.execPath, [CLI, ...args], {
      cwd: this.#stage.directory,
      env: environment(),
      stdio: ['ignore', log, log],
      // Ctrl-C of a terminal reaches the whole group; the demo stops its nodes itself, in order.
      detached: true,
    });
    closeSync(log);
    this.#node = child;
    // Should the demo itself fail badly, no node is left behind.
    const kill = (): boolean => child.kill('SIGKILL');
    process.once('exit', kill);
    this.#print(args, `   (pid ${child.pid})`);
    child.on('exit', (code, signal) => {
      process.off('exit', kill);
      if (this.#node === child) this.#stage.abort(this.#ended(code ?? signal ?? 'unknown'));
    });
  }

  /** Ends the node and waits for it; nothing happens when it does not run. */
  async stop(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    const child = this.#node;
    this.#node = undefined;
    if (child !== undefined) await endChild(child, () => child.kill(signal));
  }

  #print(args: readonly string[], remark: string): void {
    this.#story.tell(...commandLines(this.site, args, remark));
  }

  #ended(how: number | string): RoutyError {
    const lines = readFileSync(this.logPath, 'utf8').trimEnd().split('\n').slice(-LOG_LINES_SHOWN);
    return new RoutyError(
      'demo-node-ended',
      `${this.site}'s routy ended by itself (${how}); its log ends with\n${lines.join('\n')}`,
    );
  }
}

/** Starts an embedded PostgreSQL; resolves when it takes connections on the port of 127.0.0.1. */
export async function startDatabase(stage: Stage, site: SiteName, port: number): Promise<void> {
  const child = spawn(process.execPath, ['--import', TSX, DATABASE, String(port)], {
    stdio: ['pipe', 'pipe', 'inherit'],
    detached: true,
  });
  let stopping = false;
  stage.onEnd(() => {
    stopping = true;
    return endChild(child, () => child.stdin.end());
  });
  child.stdin.on('error', () => {});
  child.on('exit', () => {
    if (stopping) return;
    const message = `the database of ${site} ended by itself`;
    const hint = 'what it wrote stands above; is there memory for two of them, 1.5 GB in all?';
    stage.abort(new RoutyError('demo-database', message, { hint }));
  });
  try {
    await once(child.stdout, 'data', { signal: stage.signal });
  } catch (error) {
    stage.signal.throwIfAborted();
    throw error;
  }
}

async function endChild(child: ChildProcess, ask: () => void): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
  ask();
  await exited;
  clearTimeout(timer);
}

/** A command as it would be typed, in lines of a bearable length; the long join line shortened. */
export function commandLines(site: string, args: readonly string[], remark: string): string[] {
  const words: string[] = [];
  for (const arg of args) {
    const text = arg.startsWith('routy-join-') ? `'${arg.slice(0, 24)}...'` : arg;
    // An option and its value stay on one line.
    if (words.at(-1)?.startsWith('--') === true && !arg.startsWith('--')) {
      words.push(`${words.pop()} ${text}`);
    } else {
      words.push(text);
    }
  }
  const lines: string[] = [];
  let line = `${site}$ routy`.padStart('gray$ routy'.length);
  for (const word of words) {
    if (line.length + word.length > WIDTH_MAX) {
      lines.push(`${line} \\`);
      line = ' '.repeat('gray$ routy'.length);
    }
    line += ` ${word}`;
  }
  return [...lines, line + remark];
}

function commandFailed(args: readonly string[], stderr: string): RoutyError {
  return new RoutyError('demo-command', `routy ${args[0]} failed:\n${stderr}`);
}

/** The caller's own choice of a node is not the demo's. */
function environment(): NodeJS.ProcessEnv {
  const { ROUTY_CONFIG: _, ...rest } = process.env;
  return rest;
}
