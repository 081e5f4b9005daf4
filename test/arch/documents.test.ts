import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const SOURCE_PATH = /`((?:[\w-]+\/)+[\w-]+\.(?:ts|mjs|sh))`/g;
const LINK = /\]\((?!https?:|#)([^)#\s]+)(?:#[^)]*)?\)/g;

const documents = [
  'README.md',
  'CONTRIBUTING.md',
  ...readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => join('docs', name)),
];

/** `link/driver/pings.ts` is short for `packages/link/src/driver/pings.ts`. */
function isThere(path: string): boolean {
  const [name, ...rest] = path.split('/');
  const inPackage = join(root, 'packages', name!, 'src', ...rest);
  return existsSync(join(root, path)) || existsSync(inPackage);
}

test('every source file that a document names is there', () => {
  const named = documents.flatMap((document) =>
    [...readFileSync(join(root, document), 'utf8').matchAll(SOURCE_PATH)].map(
      ([, path]) => [document, path!] as const,
    ),
  );
  assert.ok(named.length > 20, `only ${named.length} paths were found`);
  const missing = named.filter(([, path]) => !isThere(path) && !isInside(path));
  assert.deepEqual(missing, []);
});

/** The table of the session's files leaves out `proto/session/`, which stands in its heading. */
function isInside(path: string): boolean {
  return isThere(`proto/session/${path}`);
}

test('every link from one document to another file leads somewhere', () => {
  const links = documents.flatMap((document) =>
    [...readFileSync(join(root, document), 'utf8').matchAll(LINK)].map(
      ([, target]) => [document, target!] as const,
    ),
  );
  assert.ok(links.length > 20, `only ${links.length} links were found`);
  const broken = links.filter(
    ([document, target]) => !existsSync(join(root, document, '..', target)),
  );
  assert.deepEqual(broken, []);
});
