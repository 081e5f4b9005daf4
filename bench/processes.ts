import { type ChildProcess, spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { createServer } from 'node:net';
import { delimiter, isAbsolute, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** How long a process may take to end after SIGTERM before it is killed. */
const STOP_GRACE_MS = 3_000;
/** How much of a program's output is kept for messages. */
const TAIL_CHARACTERS = 2_000;
/** Enough for 10,000 streams, each a socket on two sides of a node. */
const OPEN_FILES_WANTED = 65_536;
/** Below Linux's ephemeral ports, so that connections made by the bench cannot take them. */
const PORT_MIN = 20_000;
const PORT_MAX = 32_000;

/** A child process whose standard output is read line by line. */
export interface Running {
  readonly name: string;
  readonly pid: number;
  /** The next line of standard output; rejects when the process ends or the time is over. */
  nextLine(timeoutMs: number): Promise<string>;
  send(line: string): void;
  /** Closes standard input: load generators and servers end by themselves then. */
  closeInput(): void;
  /** SIGTERM, and SIGKILL if that was not enough. Resolves when the process has ended. */
  stop(): Promise<void>;
  /** Resolves with the exit code, null when ended by a signal. */
  readonly exited: Promise<number | null>;
  hasExited(): boolean;
  /** The end of what it wrote, for messages. */
  tail(): string;
}

const live = new Set<Running>();

/**
 * Starts a program with the limit of open files raised as far as the system lets us.
 * The shell replaces itself, so `pid` is the program's own.
 */
export function start(
  name: string,
  command: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Running {
  const raise = `ulimit -n ${OPEN_FILES_WANTED} 2>/dev/null || ulimit -n "$(ulimit -Hn)"; exec "$@"`;
  const child = spawn('/bin/sh', ['-c', raise, 'sh', command, ...args], {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
    // Its own process group: Ctrl-C reaches the bench alone, which then stops things in order.
    detached: true,
  });
  const running = wrap(name, child);
  live.add(running);
  void running.exited.then(() => live.delete(running));
  return running;
}

function wrap(name: string, child: ChildProcess): Running {
  const { stdin, stdout, stderr } = child;
  if (stdin === null || stdout === null || stderr === null) throw new Error(`${name}: no pipes`);
  let written = '';
  for (const output of [stdout, stderr]) {
    output.setEncoding('utf8').on('data', (text: string) => {
      written = (written + text).slice(-TAIL_CHARACTERS);
    });
  }
  stdin.on('error', () => {});
  let ended = false;
  const exited = new Promise<number | null>((resolve) => {
    child.once('error', (error) => {
      written += error.message;
      ended = true;
      resolve(null);
    });
    child.once('close', (code) => {
      ended = true;
      resolve(code);
    });
  });
  const lines = lineQueue(stdout);
  void exited.then(() => lines.end());
  const signal = (which: NodeJS.Signals) => {
    if (!ended) child.kill(which);
  };
  return {
    name,
    pid: child.pid ?? -1,
    exited,
    hasExited: () => ended,
    tail: () => written.trim(),
    send: (line) => void stdin.write(`${line}\n`),
    closeInput: () => stdin.end(),
    async nextLine(timeoutMs) {
      const line = await lines.next(timeoutMs);
      if (line !== null) return line;
      if (!ended) throw new Error(`${name}: no answer within ${timeoutMs} ms`);
      throw new Error(`${name} ended early: ${written.trim() || 'no message'}`);
    },
    async stop() {
      signal('SIGTERM');
      const timer = setTimeout(() => signal('SIGKILL'), STOP_GRACE_MS);
      await exited;
      clearTimeout(timer);
    },
  };
}

/** Lines as they come; `next` gives null when the time or the input is over. */
function lineQueue(input: NodeJS.ReadableStream) {
  const ready: string[] = [];
  let ended = false;
  let wake = () => {};
  createInterface({ input }).on('line', (line) => {
    ready.push(line);
    wake();
  });
  return {
    end() {
      ended = true;
      wake();
    },
    async next(timeoutMs: number): Promise<string | null> {
      if (ready.length === 0 && !ended) {
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, timeoutMs);
          wake = () => {
            clearTimeout(timer);
            resolve();
          };
        });
      }
      return ready.shift() ?? null;
    },
  };
}

/** Stops whatever is still running, the youngest first. */
export async function stopAll(): Promise<void> {
  for (const running of [...live].reverse()) await running.stop();
}

/** A load generator or service: a script of the bench that answers commands with lines of JSON. */
export interface Script {
  /** Sends a command and returns the first line of its answer. */
  request<T>(command: object, timeoutMs: number): Promise<T>;
  /** The next line, for a command that answers with several. */
  next<T>(timeoutMs: number): Promise<T>;
  /** Asks the command that is under way to end early. */
  interrupt(): void;
  stop(): Promise<void>;
}

/** Starts one of the bench's own scripts, or a built one at an absolute path, as a process of its own. */
export function startScript(path: string, env: Readonly<Record<string, string>> = {}): Script {
  const isBuilt = isAbsolute(path);
  const file = isBuilt ? path : fileURLToPath(new URL(path, import.meta.url));
  const args = isBuilt ? [file] : ['--import', import.meta.resolve('tsx'), file];
  const running = start(path, process.execPath, args, env);
  let id = 0;
  const next = async <T>(timeoutMs: number): Promise<T> => {
    for (;;) {
      const line = JSON.parse(await running.nextLine(timeoutMs)) as Answer<T>;
      // What an earlier command answered after it was given up is of no interest.
      if (line.id !== id) continue;
      if (line.error !== undefined) throw new Error(line.error);
      return line.result as T;
    }
  };
  return {
    next,
    request(command, timeoutMs) {
      running.send(JSON.stringify({ id: ++id, command }));
      return next(timeoutMs);
    },
    interrupt: () => running.send('stop'),
    stop: () => running.stop(),
  };
}

/** A line from a script: the answer to a command, or part of it, or why it failed. */
interface Answer<T> {
  readonly id: number;
  readonly result?: T;
  readonly error?: string;
}

/** Runs a program to its end; throws with what it wrote to standard error when it fails. */
export async function runToEnd(
  name: string,
  command: string,
  args: readonly string[],
  timeoutMs = 30_000,
): Promise<string> {
  const running = start(name, command, args);
  const lines: string[] = [];
  try {
    running.closeInput();
    for (;;) {
      const line = await running.nextLine(timeoutMs).catch(() => null);
      if (line === null) break;
      lines.push(line);
    }
    if (!running.hasExited()) throw new Error(`${name} did not end within ${timeoutMs} ms`);
    const code = await running.exited;
    if (code !== 0) throw new Error(`${name} ended with ${code}: ${running.tail()}`);
    return lines.join('\n');
  } finally {
    await running.stop();
  }
}

/** The full path of a program, or null: on PATH, installed by `peers.sh`, or of the system. */
export function findProgram(name: string): string | null {
  for (const folder of programFolders(process.env)) {
    const path = join(folder, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // Not in this folder.
    }
  }
  return null;
}

/** Where programs are looked for, in this order; `peers.sh` installs into the one of the cache. */
export function programFolders(env: Readonly<Record<string, string | undefined>>): string[] {
  const cache = env.XDG_CACHE_HOME || join(env.HOME ?? '', '.cache');
  const onPath = (env.PATH ?? '').split(delimiter).filter((folder) => folder !== '');
  return [...onPath, join(cache, 'routy-bench', 'bin'), '/usr/sbin', '/sbin'];
}

/** A port of 127.0.0.1 that nobody listens on at this moment. */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 200; attempt++) {
    const port = PORT_MIN + Math.floor(Math.random() * (PORT_MAX - PORT_MIN));
    if (await canListen(port)) return port;
  }
  throw new Error(`no free port between ${PORT_MIN} and ${PORT_MAX}`);
}

function canListen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
