import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { NodeStatus } from '../../../packages/routy/src/status/status.ts';
import { inside, type Namespace, runInside } from '../namespaces/namespaces.ts';
import { Daemon, type Finished, until } from '../process.ts';

/** The command line under test: the built one of this repository, or the one of `ROUTY_CLI`. */
const CLI =
  process.env.ROUTY_CLI ??
  fileURLToPath(new URL('../../../packages/routy/dist/cli/main.js', import.meta.url));

/** Where one node lives: its namespace, its configuration file and its state directory. */
export interface Home {
  readonly namespace: Namespace;
  readonly name: string;
  readonly config: string;
  readonly state: string;
  readonly logFile: string;
}

/** A home with nothing in it yet; `name` is unique in the test's directory. */
export function makeHome(namespace: Namespace, directory: string, name: string): Home {
  const place = join(directory, name);
  mkdirSync(place, { mode: 0o700 });
  return {
    namespace,
    name,
    config: join(place, 'routy.toml'),
    state: join(place, 'state'),
    logFile: join(directory, `${name}.log`),
  };
}

/** Runs `routy ARGS --config … [--state …]` in the home's namespace to its end. */
export function routy(home: Home, args: readonly string[]): Promise<Finished> {
  return runInside(home.namespace, process.execPath, [CLI, ...args, ...places(home, args)]);
}

/** The same, for a command that has to succeed; gives its standard output. */
export async function routyOk(home: Home, args: readonly string[]): Promise<string> {
  const finished = await routy(home, args);
  if (finished.code !== 0) {
    throw new Error(
      `routy ${args.join(' ')} at ${home.name} ended with ${finished.code}\n${finished.stdout}${finished.stderr}`,
    );
  }
  return finished.stdout;
}

/** The commands that make a node are told its state directory; the others read it from the file. */
function places(home: Home, args: readonly string[]): string[] {
  const config = ['--config', home.config];
  const makesNode =
    ['init', 'join', 'adopt', 'cert'].includes(args[0]!) || args.includes('--await-adoption');
  return makesNode ? [...config, '--state', home.state] : config;
}

/** A line of a node's JSON log. */
export interface LogLine {
  readonly time: string;
  readonly level: string;
  readonly event: string;
  readonly msg: string;
  readonly reason?: string;
  readonly code?: string;
  readonly peer?: string;
}

/** A running node. */
export class RoutyNode {
  readonly home: Home;
  readonly daemon: Daemon;
  /** What the log held before this start. */
  readonly logStart: number;
  readonly #plane: string | undefined;

  constructor(home: Home, args: readonly string[] = ['up']) {
    this.home = home;
    // A node that waits to be adopted has no configuration yet, and chooses by itself.
    this.#plane = existsSync(home.config) ? planeOfNode(home) : undefined;
    if (this.#plane !== undefined) setToml(home, { node: { data_plane: `"${this.#plane}"` } });
    this.logStart = existsSync(home.logFile) ? readFileSync(home.logFile, 'utf8').length : 0;
    const start = inside(home.namespace, process.execPath, [CLI, ...args, ...places(home, args)]);
    this.daemon = new Daemon(home.name, start.command, start.args, { logFile: home.logFile });
  }

  /** Asks the admin socket. Rejects while the node does not answer. */
  status(): Promise<NodeStatus> {
    return getJson(join(this.home.state, 'admin.sock'), '/status') as Promise<NodeStatus>;
  }

  /** Waits until a poll of the status satisfies `check`; gives that status. */
  async untilStatus(
    what: string,
    check: (status: NodeStatus) => boolean,
    deadlineMs = 20_000,
  ): Promise<NodeStatus> {
    let last: NodeStatus | undefined;
    try {
      return await until(
        `${this.home.name}: ${what}`,
        async () => {
          if (!this.daemon.running) throw new Error(`the node has ended:\n${this.daemon.output()}`);
          last = await this.status();
          return check(last) ? last : undefined;
        },
        { deadlineMs, intervalMs: 20 },
      );
    } catch (error) {
      throw new Error(`${(error as Error).message}\nstatus: ${JSON.stringify(last, null, 1)}`);
    }
  }

  /** Waits until every forward listens and a peer is up, on the data plane that was asked for. */
  async untilReady(deadlineMs?: number): Promise<NodeStatus> {
    const what = 'a peer up and every forward listening';
    const status = await this.untilStatus(what, isReady, deadlineMs);
    const { inUse, reason } = status.dataPlane;
    if (this.#plane !== undefined && inUse !== this.#plane) {
      throw new Error(`${this.home.name} is ${inUse}, not ${this.#plane}: ${reason}`);
    }
    return status;
  }

  /** The log's length now: what {@link logSince} takes. */
  logPosition(): number {
    return this.daemon.output().length;
  }

  /** The JSON lines logged after a position of {@link logPosition}. */
  logSince(position: number): LogLine[] {
    return this.daemon
      .output()
      .slice(position)
      .split('\n')
      .filter((line) => line.startsWith('{') && line.endsWith('}'))
      .map((line) => JSON.parse(line) as LogLine);
  }

  /** Waits for a line after `position` whose text matches every pattern; gives it. */
  async untilLogged(
    position: number,
    patterns: readonly RegExp[],
    deadlineMs = 10_000,
  ): Promise<LogLine> {
    const what = `${this.home.name} logs ${patterns.join(' and ')}`;
    const matches = (line: LogLine): boolean =>
      patterns.every((pattern) => pattern.test(JSON.stringify(line)));
    try {
      return await until(what, () => this.logSince(position).find(matches), { deadlineMs });
    } catch (error) {
      const lines = this.daemon.output().slice(position);
      throw new Error(`${(error as Error).message}\nit logged:\n${lines}`);
    }
  }

  /** Ends it in order, within its drain time. */
  async stop(): Promise<void> {
    await this.daemon.stop('SIGTERM', 10_000);
  }

  /** Ends it without any warning. */
  async kill(): Promise<void> {
    await this.daemon.stop('SIGKILL');
  }
}

/**
 * The data plane that `ROUTY_TEST_DATA_PLANE` names for the nodes of a test: `native`, or one for each site,
 * `red=native,gray=portable`. Undefined where it says nothing: they choose by themselves.
 */
function planeOfNode(home: Home): string | undefined {
  const wanted = process.env.ROUTY_TEST_DATA_PLANE;
  if (wanted === undefined || !wanted.includes('=')) return wanted;
  const planes = new Map(wanted.split(',').map((each) => each.split('=') as [string, string]));
  return planes.get(home.name.replace('routy-', ''));
}

function isReady(status: NodeStatus): boolean {
  return (
    status.peers.some((peer) => peer.state === 'up') &&
    status.forwards.every((forward) => forward.state === 'listening')
  );
}

/** GET on a unix socket, as JSON; the body as text when it is not. */
export function getJson(socketPath: string, path: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const request = http.get({ socketPath, path, agent: false, timeout: 5_000 }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString();
        if (response.statusCode !== 200) reject(new Error(`${path}: ${text}`));
        else resolve(JSON.parse(text));
      });
    });
    request.on('timeout', () => request.destroy(new Error(`no answer from ${socketPath}`)));
    request.on('error', reject);
  });
}

/** The join line in what `init --invite` or `invite` printed. */
export function joinLineIn(output: string): string {
  const match = /routy-join-1:[A-Za-z0-9_.:/+=-]+/.exec(output);
  if (match === null) throw new Error(`no join line in:\n${output}`);
  return match[0];
}

/** Sets keys in tables of a configuration file, and adds the tables it has not. */
export function setToml(
  home: Home,
  tables: Readonly<Record<string, Record<string, string>>>,
): void {
  const present = readFileSync(home.config, 'utf8');
  for (const [name, keys] of Object.entries(tables)) {
    if (present.split('\n').includes(`[${name}]`)) {
      writeFileSync(home.config, insertKeys(readFileSync(home.config, 'utf8'), name, keys));
    } else {
      appendFileSync(home.config, `\n[${name}]\n${keyLines(keys)}`);
    }
  }
}

/** Sets keys of a table that stands in the text already, in place of equal ones. */
function insertKeys(text: string, table: string, keys: Record<string, string>): string {
  const lines = text.split('\n');
  const start = lines.indexOf(`[${table}]`);
  const next = lines.findIndex((line, index) => index > start && line.startsWith('['));
  const end = next === -1 ? lines.length : next;
  const kept = lines
    .slice(start + 1, end)
    .filter((line) => !Object.keys(keys).some((key) => line.startsWith(`${key} `)));
  return [
    ...lines.slice(0, start + 1),
    ...keyLines(keys).trimEnd().split('\n'),
    ...kept,
    ...lines.slice(end),
  ].join('\n');
}

/** Values are written as they are: strings come with their quotes. */
function keyLines(keys: Record<string, string>): string {
  return Object.entries(keys)
    .map(([key, value]) => `${key} = ${value}\n`)
    .join('');
}
