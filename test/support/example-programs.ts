import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Transform } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** How long the connections are cut, once a second. */
export const CUT_SECONDS = Number(process.env.ROUTY_EXAMPLE_SECONDS ?? 4);

/** For a test of an example: starting its programs, the cuts and what comes after them. */
export const EXAMPLE_TIMEOUT = { timeout: CUT_SECONDS * 1000 + 90_000 };

const ANSWER_TIMEOUT_MS = 30_000;

interface ProgramOptions {
  /** Where the script and its packages are; `examples/` of this clone by default. */
  readonly directory?: string;
  /** A disk that is full: no file grows beyond so many blocks of 512 bytes, writing more fails. */
  readonly fileBlocksMax?: number;
  /** `ignore`: it has none, as a service; a pipe by default. */
  readonly input?: 'pipe' | 'ignore';
}

/** A program of `examples/`, or of another directory, which is told lines and answers with lines. */
export class Program {
  readonly #child: ChildProcess;
  readonly #waiting = new Set<(line: string) => void>();
  readonly lines: string[] = [];

  constructor(script: string, args: readonly string[], options: ProgramOptions = {}) {
    const { directory = root, fileBlocksMax, input = 'pipe' } = options;
    const source = directory === root ? ['--import', 'tsx', join('examples', script)] : [script];
    const node = [process.execPath, ...source, ...args];
    const [command, ...rest] = fileBlocksMax === undefined ? node : limited(fileBlocksMax, node);
    this.#child = spawn(command!, rest, {
      cwd: directory,
      stdio: [input, 'pipe', 'pipe'],
    });
    for (const output of [this.#child.stdout!, this.#child.stderr!]) {
      createInterface({ input: output }).on('line', (line) => {
        this.lines.push(line);
        for (const waiting of this.#waiting) waiting(line);
      });
    }
    this.#child.stdin?.on('error', () => undefined);
  }

  say(line: string): void {
    this.#child.stdin!.write(`${line}\n`);
  }

  /** What a line says, from now on or, with `past`, ever; it is what the first group matches. */
  async hear(pattern: RegExp, { past = false } = {}): Promise<string> {
    const found = past ? this.lines.map((line) => pattern.exec(line)).find(Boolean) : undefined;
    if (found) return found[1] ?? found[0];
    return new Promise((resolve, reject) => {
      const settle = () => {
        clearTimeout(timer);
        this.#waiting.delete(waiting);
        this.#child.off('exit', ended);
      };
      const waiting = (line: string) => {
        const match = pattern.exec(line);
        if (match === null) return;
        settle();
        resolve(match[1] ?? match[0]);
      };
      const fail = (what: string) => {
        settle();
        reject(new Error(`${what}, not ${pattern}:\n${this.lines.slice(-20).join('\n')}`));
      };
      const ended = () => fail('the program ended');
      const timer = setTimeout(() => fail('nothing came'), ANSWER_TIMEOUT_MS);
      this.#waiting.add(waiting);
      this.#child.once('exit', ended);
      if (this.#hasEnded) ended();
    });
  }

  ask(line: string, pattern: RegExp): Promise<string> {
    const heard = this.hear(pattern);
    this.say(line);
    return heard;
  }

  /** The port it listens on, where it was told to choose one. */
  async port(): Promise<number> {
    return Number(await this.hear(/^listening on .*:(\d+)$/, { past: true }));
  }

  /** As by a crash: nothing is cleaned up. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  /** In order; it has to end by itself. */
  async stop(): Promise<void> {
    await this.#end('SIGTERM');
    assert.equal(this.#child.exitCode, 0, this.lines.slice(-20).join('\n'));
  }

  /** Its input ends, as when who began it was killed: it has to end by itself. */
  async leave(): Promise<void> {
    const exited = once(this.#child, 'exit');
    this.#child.stdin!.end();
    await exited;
    assert.equal(this.#child.exitCode, 0, this.lines.slice(-20).join('\n'));
  }

  get #hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    if (this.#hasEnded) return;
    const exited = once(this.#child, 'exit');
    this.#child.kill(signal);
    await exited;
  }
}

/** The shell gives way to the program, which so has the process id that is known here. */
function limited(fileBlocksMax: number, command: readonly string[]): string[] {
  return ['sh', '-c', `trap '' XFSZ; ulimit -f ${fileBlocksMax}; exec "$@"`, 'sh', ...command];
}

/** What stands between two programs, and cuts what goes through it. */
export class Cutter {
  readonly #server = createServer({ noDelay: true }, (client) => this.#carry(client));
  readonly #sockets = new Set<Socket>();
  /** What waits for {@link letPass}. */
  readonly #waiting = new Set<() => void>();
  #leftBytes = Infinity;
  #target = 0;
  cuts = 0;

  static async start(): Promise<Cutter> {
    const cutter = new Cutter();
    cutter.#server.listen(0, '127.0.0.1');
    await once(cutter.#server, 'listening');
    return cutter;
  }

  get address(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Where it leads to: a program that is started again has another port. */
  leadTo(port: number): void {
    this.#target = port;
  }

  /** So many bytes still pass, of both directions together; those behind them wait to be let through. */
  letPass(bytes: number): void {
    this.#leftBytes = bytes;
    for (const pass of this.#waiting) {
      this.#waiting.delete(pass);
      pass();
    }
  }

  cut(): void {
    this.cuts += this.#sockets.size > 0 ? 1 : 0;
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  close(): void {
    this.cut();
    this.#server.close();
  }

  #carry(client: Socket): void {
    const onward = connect({ port: this.#target, host: '127.0.0.1', noDelay: true });
    for (const [one, other] of [
      [client, onward],
      [onward, client],
    ] as const) {
      this.#sockets.add(one);
      one.pipe(this.#gate()).pipe(other);
      one.on('error', () => other.destroy());
      one.on('close', () => {
        this.#sockets.delete(one);
        other.destroy();
      });
    }
  }

  #gate(): Transform {
    const transform = (chunk: Buffer, _: BufferEncoding, done: (e: null, c: Buffer) => void) => {
      if (chunk.length > this.#leftBytes) {
        this.#waiting.add(() => transform(chunk, _, done));
        return;
      }
      this.#leftBytes -= chunk.length;
      done(null, chunk);
    };
    return new Transform({ transform });
  }
}

/** Cuts each second for as long as tests say, and does something `halfway`. */
export async function cutEachSecond(
  cutters: readonly Cutter[],
  halfway: () => Promise<void>,
): Promise<void> {
  for (let second = 1; second <= CUT_SECONDS; second++) {
    await sleep(1000);
    for (const cutter of cutters) cutter.cut();
    if (second === Math.ceil(CUT_SECONDS / 2)) await halfway();
  }
  for (const cutter of cutters) assert.ok(cutter.cuts > 0, 'something was cut');
}

/** A directory that is removed at the end of a test. */
export function temporary(t: { after(end: () => void): void }): string {
  const directory = mkdtempSync(join(tmpdir(), 'routy-example-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}
