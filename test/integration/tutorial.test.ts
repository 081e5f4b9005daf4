import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { appendFile, cp, mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { temporary } from '../support/example-programs.ts';
import { type CodeBlock, codeBlocks, documentText } from '../support/markdown.ts';
import { NPM_ENV, packed } from '../support/packed.ts';
import { Terminal } from '../support/terminal.ts';

const run = promisify(execFile);
const TYPED = ['+', 'pull', 'plug'];
/** The first line of a block that is a file, or a further part of one. */
const FILE = /^\/\/ ([\w.-]+)(, continued)?\n/;

/** Machines of the text are directories here. */
const SCP = `scp() { local machine="../\${2%:}"; mkdir -p "$machine"; cp "$1" "$machine"; }`;

/** Who follows the tutorial: the project, the machines beside it, and their terminals. */
class Reader {
  readonly #base: string;
  readonly #places: ReadonlyMap<string, string>;
  readonly #terminals = new Map<string, Terminal>();

  /** `places` are the addresses of the text, and those that they are here. */
  constructor(base: string, places: ReadonlyMap<string, string>) {
    this.#base = base;
    this.#places = places;
  }

  async do({ language, name, text: written }: CodeBlock): Promise<void> {
    const text = this.#here(written);
    if (language === 'sh') await this.#shell(this.#directory(name), text);
    else if (language === 'console') await this.#terminal(name).follow(text);
    else if (language === 'js') await this.#write(text);
    else assert.fail(`nobody knows what to do with a block of ${language}:\n${text}`);
  }

  /** Nothing runs any more, and nothing was printed that the text does not show. */
  async end(): Promise<void> {
    for (const terminal of this.#terminals.values()) await terminal.end();
  }

  async kill(): Promise<void> {
    await Promise.all([...this.#terminals.values()].map((terminal) => terminal.kill()));
  }

  #here(text: string): string {
    return [...this.#places].reduce((so, [there, here]) => so.replaceAll(there, here), text);
  }

  /** A name with a dot is that of another machine. */
  #directory(name: string): string {
    return join(this.#base, name.includes('.') ? name : 'project');
  }

  async #shell(directory: string, text: string): Promise<void> {
    await run('bash', ['-euc', `${SCP}\n${text}`], { cwd: directory, env: NPM_ENV });
  }

  #terminal(name: string): Terminal {
    const known = this.#terminals.get(name);
    if (known !== undefined) return known;
    const terminal = new Terminal(name, this.#directory(name), TYPED);
    this.#terminals.set(name, terminal);
    return terminal;
  }

  async #write(text: string): Promise<void> {
    const [, file, isContinued] = FILE.exec(text) ?? assert.fail(`what file is this?\n${text}`);
    const put = isContinued === undefined ? writeFile : appendFile;
    await put(join(this.#base, 'project', file!), text);
  }
}

async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  const ports: number[] = [];
  for (const server of servers) {
    if (!server.listening) await new Promise((resolve) => server.once('listening', resolve));
    ports.push((server.address() as { port: number }).port);
  }
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

test('whoever does what the tutorial says sees what it shows', { timeout: 180_000 }, async (t) => {
  const base = temporary(t);
  const library = await packed('@routy/link', ['proto', 'link'], base);
  await mkdir(join(base, 'project'));
  await cp(library, join(base, 'project', basename(library)));

  const [listening, cable] = await freePorts(2);
  const places = new Map([
    ['7443', String(listening)],
    ['7444', String(cable)],
    ['dial gray.example', 'dial 127.0.0.1'],
    ['0.0.0.0', '127.0.0.1'],
  ]);
  const reader = new Reader(base, places);
  t.after(() => reader.kill());
  const blocks = codeBlocks(documentText('docs/TUTORIAL.md'));
  assert.ok(blocks.length > 30, `only ${blocks.length} blocks were found`);
  for (const block of blocks) await reader.do(block);
  await reader.end();
});
