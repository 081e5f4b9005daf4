import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const SOURCE_PATH = /`((?:[\w-]+\/)+[\w-]+\.(?:ts|mjs|sh))`/g;
const LINK = /\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)/g;

const documents = [
  'README.md',
  'CONTRIBUTING.md',
  'clients/python/README.md',
  ...['docs', 'examples'].flatMap((directory) =>
    readdirSync(join(root, directory), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.md'))
      .map((name) => join(directory, name)),
  ),
];

const textOf = (document: string) => readFileSync(join(root, document), 'utf8');

/** `link/driver/pings.ts` is short for `packages/link/src/driver/pings.ts`. */
function isThere(path: string): boolean {
  const [name, ...rest] = path.split('/');
  const inPackage = join(root, 'packages', name!, 'src', ...rest);
  return existsSync(join(root, path)) || existsSync(inPackage);
}

test('every source file that a document names is there', () => {
  const named = documents.flatMap((document) =>
    [...textOf(document).matchAll(SOURCE_PATH)].map(([, path]) => [document, path!] as const),
  );
  assert.ok(named.length > 20, `only ${named.length} paths were found`);
  const missing = named.filter(([, path]) => !isThere(path) && !isInside(path));
  assert.deepEqual(missing, []);
});

/** The table of the session's files leaves out `proto/session/`, which stands in its heading. */
function isInside(path: string): boolean {
  return isThere(`proto/session/${path}`);
}

test('every link from one document to another leads to a file, and to a heading of it', () => {
  const links = documents.flatMap((document) =>
    [...textOf(document).matchAll(LINK)].map(
      ([, target, heading]) =>
        ({ document, target: join(document, target ? '..' : '', target!), heading }) as const,
    ),
  );
  assert.ok(links.length > 20, `only ${links.length} links were found`);
  const broken = links.filter(
    ({ target, heading }) =>
      !existsSync(join(root, target)) ||
      (heading !== undefined && !headingsOf(target).includes(heading)),
  );
  assert.deepEqual(broken, []);
});

/** As they stand in links. */
function headingsOf(document: string): string[] {
  return [...textOf(document).matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
    heading!
      .toLowerCase()
      .replace(/[^\w\- ]/g, '')
      .replaceAll(' ', '-'),
  );
}

test('every command of npm that a document names is there', () => {
  const { scripts } = JSON.parse(textOf('package.json')) as { scripts: Record<string, string> };
  const named = documents.flatMap((document) =>
    [...textOf(document).matchAll(/npm run (?:-s )?([a-z][\w:-]*)/g)].map(([, name]) => name!),
  );
  assert.ok(named.length > 20, `only ${named.length} were found`);
  assert.deepEqual(
    named.filter((name) => scripts[name] === undefined),
    [],
  );
});

test('the tree of folders in the architecture is what there is', () => {
  const [, tree] = /^```\npackages\/\n(.*?)^\w/ms.exec(textOf('docs/ARCHITECTURE.md'))!;
  const drawn: string[] = [];
  let inPackage = '';
  for (const [, indent, name] of tree!.matchAll(/^( {2}| {4})(\w+)\/ /gm)) {
    if (indent!.length === 2) inPackage = name!;
    else drawn.push(`${inPackage}/${name}`);
  }
  const found = readdirSync(join(root, 'packages')).flatMap((name) =>
    readdirSync(join(root, 'packages', name, 'src'), { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => `${name}/${entry.name}`),
  );
  assert.deepEqual(drawn.sort(), found.sort());
});
