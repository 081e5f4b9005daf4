import assert from 'node:assert/strict';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { files } from './packages.ts';

/** Packages whose folders' `index.ts` are public entries; the reference is made of them. */
const ENTRY = /^packages\/(?:proto|link)\/src\/(?:[\w-]+\/)?index\.ts$/;
const REEXPORT = /export\s+(?:type\s+)?\{([^}]*)\}\s+from\s+'([^']+)'/g;

const texts = new Map(files.map(({ path, text }) => [path, text]));

/** The public exports of an entry: where each is declared, and by which name there. */
function exportsOf(entry: string): { readonly path: string; readonly name: string }[] {
  return [...texts.get(entry)!.matchAll(REEXPORT)].flatMap(([, list, from]) =>
    list!
      .split(',')
      .map((item) =>
        item
          .trim()
          .replace(/^type\s+/, '')
          .replace(/\s+as\s+.*$/, ''),
      )
      .filter((name) => name !== '')
      .map((name) => ({ path: join(dirname(entry), from!), name })),
  );
}

/** Whether the declaration, or the first of its overloads, has a docstring right before it. */
function isDocumented(text: string, name: string): boolean {
  const declaration = new RegExp(
    `(\\*/\\n)?^export (?:declare )?(?:abstract )?(?:async )?(?:class|function\\*?|const|let|type|interface) ${name}\\b`,
    'm',
  );
  const found = declaration.exec(text);
  // What another file declares is documented there.
  return found === null ? text.includes(name) : found[1] !== undefined;
}

test('every public export of @routy/proto and @routy/link has a docstring', () => {
  const entries = [...texts.keys()].filter((path) => ENTRY.test(path));
  const all = entries.flatMap(exportsOf);
  assert.ok(all.length > 50, `only ${all.length} exports were found`);
  const bare = all
    .filter(({ path, name }) => !isDocumented(texts.get(path)!, name))
    .map(({ path, name }) => `${path}: ${name}`);
  assert.deepEqual([...new Set(bare)], []);
});
