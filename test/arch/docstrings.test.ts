import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Docstrings } from './docstrings.ts';
import { files, root } from './packages.ts';

const docstrings = new Docstrings(new Map(files.map(({ path, text }) => [path, text])));

/** The entries of a package by what programs import, `@routy/link/streams`: its `exports`. */
function entriesOf(name: string): Map<string, string> {
  const directory = `packages/${name}`;
  const manifest = JSON.parse(readFileSync(join(root, directory, 'package.json'), 'utf8')) as {
    readonly exports: Readonly<Record<string, { readonly types: string }>>;
  };
  return new Map(
    Object.entries(manifest.exports).map(([entry, { types }]) => [
      `@routy/${name}${entry.slice(1)}`,
      `${directory}/src/${types.replace(/^\.\/dist\//, '').replace(/\.d\.ts$/, '.ts')}`,
    ]),
  );
}

const library = entriesOf('link');
const all = [...library, ...entriesOf('proto')];
const ofLibrary = [...library.values()].flatMap((entry) => docstrings.exportsOf(entry));

test('every public entry says what it is for', () => {
  const bare = all.filter(([name, entry]) => !docstrings.hasModuleText(entry, name));
  assert.deepEqual(bare, []);
});

test('every public export of @routy/proto and @routy/link has a docstring', () => {
  const exported = all.flatMap(([, entry]) => docstrings.exportsOf(entry));
  assert.ok(exported.length > 150, `only ${exported.length} exports were found`);
  const bare = exported.filter((each) => !docstrings.isDocumented(each));
  assert.deepEqual(bare, []);
});

test('every public member of what @routy/link exports has a docstring', () => {
  const bare = ofLibrary.flatMap((each) => docstrings.bareMembers(each));
  assert.deepEqual([...new Set(bare)], []);
});

test('a docstring that is not there is missed', () => {
  const path = 'packages/link/src/some/index.ts';
  const text = `
    export class Bare { first(): void {} /** Said. */ second(): void {} #third = 1; private fourth = 1; }
    /** Said. */
    export interface Port { /** Said. */ first(): void; second(): void }
    /** Said. */
    export class User extends Bare implements Port { first(): void {} second(): void {} override third(): void {} }`;
  const some = new Docstrings(new Map([[path, text]]));
  const exported = some.exportsOf(path);
  assert.deepEqual(
    exported.filter((each) => !some.isDocumented(each)).map(({ name }) => name),
    ['Bare'],
  );
  assert.deepEqual(
    exported.flatMap((each) => some.bareMembers(each)),
    ['Bare.first', 'Port.second', 'User.second'],
  );
  assert.ok(!some.hasModuleText(path, '@routy/link/some'));
});
