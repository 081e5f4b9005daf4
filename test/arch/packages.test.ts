import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { files, PACKAGES, root, type SourceFile } from './packages.ts';
import { importsOf } from './source.ts';

/** Source files directly in one folder; a reader sees them at one glance. */
const FOLDER_FILES_MAX = 12;
/** Besides the packages; a reader looks for his way in them, too. */
const MORE = ['demo', 'test'];

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly exports?: Readonly<Record<string, { readonly types: string; readonly default: string }>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
  readonly peerDependenciesMeta?: Readonly<Record<string, { readonly optional: boolean }>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly bundleDependencies?: readonly string[];
}

const manifests = new Map(PACKAGES.map((name) => [name, manifestOf(name)]));

function manifestOf(name: string): Manifest {
  return JSON.parse(readFileSync(join(root, 'packages', name, 'package.json'), 'utf8')) as Manifest;
}

test(`no folder has more than ${FOLDER_FILES_MAX} source files`, () => {
  const more = MORE.flatMap((folder) => {
    const paths = readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' });
    const sources = paths.filter((path) => path.endsWith('.ts'));
    assert.ok(sources.length > 0, folder);
    return sources.map((path) => join(folder, path));
  });
  const counts = new Map<string, number>();
  for (const path of [...files.map((file) => file.path), ...more]) {
    counts.set(dirname(path), (counts.get(dirname(path)) ?? 0) + 1);
  }
  assert.deepEqual(
    [...counts].filter(([, count]) => count > FOLDER_FILES_MAX),
    [],
  );
});

test('of two folders that stand beside each other at most one imports the other', () => {
  const edges = new Set<string>();
  for (const { path, text } of files) {
    for (const { what } of importsOf(text)) {
      if (what.startsWith('.')) edges.add(`${dirname(path)} ${join(dirname(path), what, '..')}`);
    }
  }
  const both = [...edges].map((edge) => edge.split(' ') as [string, string]);
  assert.ok(both.length > 50, `only ${both.length} pairs of folders were found`);
  const mutual = both.filter(
    ([from, to]) => from < to && edges.has(`${to} ${from}`) && dirname(from) === dirname(to),
  );
  assert.deepEqual(mutual, []);
});

test('a package uses of another only what its exports offer', () => {
  let found = 0;
  const problems = ourImports(({ path }, specifier) => {
    found += 1;
    const [, name, entry] = /^@routy\/(\w+)(\/.*)?$/.exec(specifier)!;
    if (path.startsWith(`packages/${name}/`)) return `${path}: ${specifier} is its own package`;
    const offered = manifests.get(name!)?.exports?.[`.${entry ?? ''}`];
    return offered === undefined ? `${path}: ${specifier} is not offered` : undefined;
  });
  assert.ok(found > 100, `only ${found} imports were found`);
  assert.deepEqual(problems, []);
});

test('no source file leads into another package by its path', () => {
  const problems = files.flatMap(({ path, text }) =>
    importsOf(text)
      .filter(({ what }) => /packages|node_modules|\bdist\b/.test(what))
      .map(({ what }) => `${path}: ${what}`),
  );
  assert.deepEqual(problems, []);
});

test('what a package offers is there, and its version is that of all', () => {
  for (const [name, { version, exports = {} }] of manifests) {
    assert.equal(version, manifests.get('proto')!.version);
    for (const [entry, { types, default: code }] of Object.entries(exports)) {
      assert.equal(types, code.replace(/\.js$/, '.d.ts'));
      const source = code.replace(/^\.\/dist\/(.*)\.js$/, 'src/$1.ts');
      assert.ok(existsSync(join(root, 'packages', name, source)), `${name} ${entry}: ${source}`);
    }
  }
});

test('each package lists what it imports, and the daemon also what those in it need', () => {
  const missing = files.flatMap(({ path, text }) => {
    const listed = manifests.get(path.split('/')[1]!)!;
    return importsOf(text)
      .map(({ what }) => packageOf(what))
      .filter((name) => name !== undefined && !isListed(listed, name))
      .map((name) => `${path}: ${name}`);
  });
  assert.deepEqual(missing, []);
  const daemon = manifests.get('routy')!;
  const bundled = [...manifests.values()].filter(({ name }) =>
    daemon.bundleDependencies?.includes(name),
  );
  assert.deepEqual(bundled.map(({ name }) => name).sort(), [
    '@routy/link',
    '@routy/linux',
    '@routy/proto',
  ]);
  for (const { dependencies, optionalDependencies } of bundled) {
    for (const [name, range] of Object.entries(dependencies ?? {})) {
      assert.equal(daemon.dependencies?.[name], range, name);
    }
    for (const [name, range] of Object.entries(optionalDependencies ?? {})) {
      assert.equal(daemon.optionalDependencies?.[name], range, name);
    }
  }
});

test('the protocol depends on nothing, the link on little', () => {
  const { proto, link } = Object.fromEntries(manifests) as Record<string, Manifest>;
  assert.equal(proto!.dependencies, undefined);
  assert.deepEqual(Object.keys(link!.dependencies ?? {}).sort(), ['@routy/proto', 'socks']);
});

test('only its own entry has prom-client, which the user of the link brings along', () => {
  const naming = files
    .filter(({ path, text }) => path.startsWith('packages/link/') && /'prom-client'/.test(text))
    .map(({ layer }) => layer);
  assert.deepEqual(naming, ['link/prometheus']);
  const { link } = Object.fromEntries(manifests) as Record<string, Manifest>;
  assert.deepEqual(Object.keys(link!.peerDependencies ?? {}), ['prom-client']);
  assert.deepEqual(link!.peerDependenciesMeta, { 'prom-client': { optional: true } });
});

/** What `check` says of each import of one of our packages. */
function ourImports(
  check: (file: SourceFile, specifier: string) => string | undefined,
): readonly string[] {
  return files.flatMap((file) =>
    importsOf(file.text)
      .filter(({ what }) => what.startsWith('@routy/'))
      .map(({ what }) => check(file, what))
      .filter((problem) => problem !== undefined),
  );
}

function isListed({ dependencies, peerDependencies }: Manifest, name: string): boolean {
  return dependencies?.[name] !== undefined || peerDependencies?.[name] !== undefined;
}

/** The package of an import; undefined for our own files and what Node has. */
function packageOf(specifier: string): string | undefined {
  if (/^(\.|node:)/.test(specifier)) return undefined;
  const [scope, name] = specifier.split('/');
  return specifier.startsWith('@') ? `${scope}/${name}` : scope;
}
