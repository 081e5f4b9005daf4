import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type Finding, importsOf, impureUses, stripped } from './source.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const src = join(root, 'src');
const LINES_MAX = 420;

interface Layer {
  /** Folders under `src` this one may import, besides itself. */
  readonly may: readonly string[];
  readonly pure: boolean;
  readonly why: string;
}

/** Who may import whom, one way only. A folder that is not here may not exist. */
const LAYERS: Readonly<Record<string, Layer>> = {
  base: { may: [], pure: true, why: 'everything rests on it' },
  wire: { may: ['base'], pure: true, why: 'frames know nothing of sessions' },
  session: { may: ['base', 'wire'], pure: true, why: 'the protocol runs in a simulation' },
  fabric: { may: ['base'], pure: true, why: 'policy is decided without IO' },
  transport: {
    may: ['base', 'wire'],
    pure: false,
    why: 'a lane carries bytes and never learns what a session is',
  },
  pki: {
    may: ['base', 'transport'],
    pure: false,
    why: 'certificates are made without a running node; who waits to be adopted listens as one does',
  },
  config: {
    may: ['base', 'fabric'],
    pure: false,
    why: 'a file is checked against policy without starting anything',
  },
  observe: { may: ['base', 'config'], pure: false, why: 'logs and metrics take figures as given' },
  node: {
    may: ['base', 'wire', 'session', 'fabric', 'transport', 'pki', 'config', 'observe'],
    pure: false,
    why: 'the one place that ties sessions to lanes, services and forwards',
  },
  admin: {
    may: ['base', 'transport', 'config', 'node', 'observe'],
    pure: false,
    why: 'it shows and steers a node; a node does not know who is asking',
  },
  cli: {
    may: ['base', 'fabric', 'transport', 'pki', 'config', 'observe', 'node', 'admin'],
    pure: false,
    why: "argv to calls; frames and sessions are the node's business",
  },
  'index.ts': {
    may: ['base', 'config', 'node', 'admin', 'pki'],
    pure: false,
    why: 'the public API and nothing else',
  },
};

/** Single imports against the direction, each with its reason. Types only: nothing is loaded. */
const TYPE_ONLY: readonly { from: string; to: string; why: string }[] = [
  { from: 'observe', to: 'node/status.ts', why: 'the figures of a node are a shape, not code' },
  { from: 'observe', to: 'transport/lane.ts', why: 'the same, for a lane' },
];

interface SourceFile {
  /** Relative to `src`. */
  readonly path: string;
  readonly layer: string;
  readonly text: string;
}

const files: readonly SourceFile[] = readdirSync(src, { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.ts'))
  .map((path) => ({
    path,
    layer: path.split('/')[0]!,
    text: readFileSync(join(src, path), 'utf8'),
  }));

test('every folder is in the table and every entry of the table has files', () => {
  const seen = new Set(files.map((file) => file.layer));
  assert.deepEqual([...seen].sort(), Object.keys(LAYERS).sort());
});

test('imports go one way', () => {
  const problems = checkedPerLayer((file, layer) =>
    importsOf(file.text).flatMap((found) => importProblem(file, layer, found)),
  );
  assert.deepEqual(problems, []);
});

test('pure folders take time, randomness and bytes as arguments', () => {
  const problems = checkedPerLayer((file, layer) =>
    layer.pure
      ? impureUses(file.text).map(
          (use) => `src/${file.path}:${use.line}: ${use.what} in a pure folder`,
        )
      : [],
  );
  assert.deepEqual(problems, []);
});

test('native calls are made in one file, and few ask for them', () => {
  const LIBC = 'transport/libc.ts';
  const MAY = [
    'cli/garbage-collector.ts',
    'node/keepalive.ts',
    'node/node.ts',
    'transport/linux-socket.ts',
  ];
  const naming = files.filter(({ text }) => /['"]koffi['"]/.test(text)).map(({ path }) => path);
  assert.deepEqual(naming, [LIBC]);
  const asking = files.filter((file) => runtimeImports(file).includes(LIBC));
  assert.deepEqual(asking.map(({ path }) => path).sort(), MAY);
});

test(`no file is longer than ${LINES_MAX} lines`, () => {
  const problems = checkedPerLayer((file) => {
    const lines = file.text.split('\n').length - 1;
    return lines > LINES_MAX ? [`src/${file.path}: ${lines} lines`] : [];
  });
  assert.deepEqual(problems, []);
});

test('no file imports itself by way of others', () => {
  const graph = new Map(files.map((file) => [file.path, runtimeImports(file)]));
  assert.ok(
    [...graph.values()].some((targets) => targets.length > 0),
    'no import was found at all',
  );
  assert.deepEqual(cycles(graph), []);
});

/** Runs a check over every file and fails when a layer had none. */
function checkedPerLayer(check: (file: SourceFile, layer: Layer) => string[]): string[] {
  const counts = new Map(Object.keys(LAYERS).map((name) => [name, 0]));
  const problems: string[] = [];
  for (const file of files) {
    const layer = LAYERS[file.layer];
    if (layer === undefined) continue;
    counts.set(file.layer, counts.get(file.layer)! + 1);
    problems.push(...check(file, layer));
  }
  for (const [name, count] of counts) assert.ok(count > 0, `no file of ${name} was checked`);
  return problems;
}

function importProblem(file: SourceFile, layer: Layer, found: Finding): string[] {
  const at = `src/${file.path}:${found.line}`;
  if (!found.what.startsWith('.')) {
    return layer.pure ? [`${at}: imports ${found.what}; ${file.layer} is pure`] : [];
  }
  if (!found.what.endsWith('.ts') && !found.what.endsWith('.json')) {
    return [`${at}: ${found.what} has no extension`];
  }
  const target = resolve(file, found.what);
  if (target.startsWith('..')) {
    return target === '../package.json' ? [] : [`${at}: ${found.what} leaves src`];
  }
  const to = target.split('/')[0]!;
  if (to === file.layer || layer.may.includes(to)) return [];
  const excused = TYPE_ONLY.some((e) => found.typeOnly && e.from === file.layer && e.to === target);
  return excused ? [] : [`${at}: ${file.layer} may not import ${target} (${layer.why})`];
}

function resolve(file: SourceFile, specifier: string): string {
  return relative(src, join(src, dirname(file.path), specifier));
}

function runtimeImports(file: SourceFile): string[] {
  return importsOf(file.text)
    .filter((found) => found.what.startsWith('.') && !found.typeOnly)
    .map((found) => resolve(file, found.what));
}

/** Every cycle once, as `a -> b -> a`, by depth-first search. */
function cycles(graph: ReadonlyMap<string, readonly string[]>): string[] {
  const found: string[] = [];
  const done = new Set<string>();
  const visit = (path: string, trail: readonly string[]): void => {
    const start = trail.indexOf(path);
    if (start >= 0) {
      found.push([...trail.slice(start), path].join(' -> '));
      return;
    }
    if (done.has(path)) return;
    for (const next of graph.get(path) ?? []) visit(next, [...trail, path]);
    done.add(path);
  };
  for (const path of graph.keys()) visit(path, []);
  return found;
}

test('the reader of sources sees what it must see', () => {
  const sample = [
    "import { a } from './a.ts';",
    "import type { B } from './b.ts';",
    "export * from './c.ts';",
    '// setTimeout in a comment is a word',
    "const text = 'Date.now() in a string';",
    'const now = Date.now();',
    'async function f() {}',
    'const x = [Math.random()];',
    "const lazy = import('./d.ts');",
  ].join('\n');
  assert.deepEqual(
    importsOf(sample).map((found) => [found.what, found.typeOnly, found.line]),
    [
      ['./a.ts', false, 1],
      ['./b.ts', true, 2],
      ['./c.ts', false, 3],
      ['./d.ts', false, 9],
    ],
  );
  assert.deepEqual(
    impureUses(sample).map((use) => [use.what, use.line]),
    [
      ['Date', 6],
      ['async', 7],
      ['Math.random', 8],
    ],
  );
  assert.equal(stripped('a /* b\n */ c').split('\n').length, 2);
});
