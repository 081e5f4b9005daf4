import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { appendFile, cp, mkdir, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { freePort } from '../../../bench/processes.ts';
import { temporary } from '../../support/example-programs.ts';
import { type CodeBlock, codeBlocks, documentText } from './markdown.ts';
import { NPM_ENV, packed } from './packed.ts';
import { Terminal } from './terminal.ts';

const run = promisify(execFile);
const TYPED = ['+', 'pull', 'plug'];
/** The first line of a block that is a file, or a further part of one. */
const FILE = /^\/\/ ([\w.-]+)(, continued)?\n/;
/** Addresses of the text that are others here. */
const PLACE = /7443|7444|gray\.example(?=:\d)|0\.0\.0\.0/g;

/** Machines of the text are directories here. */
const SCP = `scp() { local machine="../\${2%:}"; mkdir -p "$machine"; cp "$1" "$machine"; }`;

/** Who follows the tutorial: the project, the machines beside it, and their terminals. */
class Reader {
  readonly #base: string;
  readonly #places: ReadonlyMap<string, string>;
  readonly #terminals = new Map<string, Terminal>();

  /** `places`: for each of {@link PLACE} the one that it is here. */
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
    return text.replace(PLACE, (place) => this.#places.get(place)!);
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

test('whoever does what the tutorial says sees what it shows', { timeout: 180_000 }, async (t) => {
  const base = temporary(t);
  const library = await packed('@routy/link', ['proto', 'link'], base);
  await mkdir(join(base, 'project'));
  await cp(library, join(base, 'project', basename(library)));

  const places = new Map([
    ['7443', String(await freePort())],
    ['7444', String(await freePort())],
    ['gray.example', '127.0.0.1'],
    ['0.0.0.0', '127.0.0.1'],
  ]);
  const reader = new Reader(base, places);
  t.after(() => reader.kill());
  const blocks = codeBlocks(documentText('docs/TUTORIAL.md'));
  assert.ok(blocks.length > 30, `only ${blocks.length} blocks were found`);
  for (const block of blocks) await reader.do(block);
  await reader.end();
});
