import assert from 'node:assert/strict';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { files, layerOf, type SourceFile } from './packages.ts';
import { type Finding, importsOf, impureUses, stripped } from './source.ts';

const LINES_MAX = 420;

interface Layer {
  /** Layers this one may import, besides itself; each must be imported by some file of it. */
  readonly may: readonly string[];
  readonly pure: boolean;
  readonly why: string;
}

/**
 * Who may import whom, one way only; types count. A layer is a folder of a package, or a file that
 * stands beside the folders. One that is not here may not exist.
 */
const LAYERS: Readonly<Record<string, Layer>> = {
  'proto/base': { may: [], pure: true, why: 'everything rests on it' },
  'proto/wire': { may: ['proto/base'], pure: true, why: 'frames know nothing of sessions' },
  'proto/session': {
    may: ['proto/base', 'proto/wire'],
    pure: true,
    why: 'the protocol runs in a simulation',
  },
  'link/transport': {
    may: ['proto/base'],
    pure: false,
    why: 'a lane carries bytes and never learns what a session is',
  },
  'link/arguments': {
    may: ['proto/base', 'link/transport'],
    pure: false,
    why: 'what programs give is looked at where they give it, in the same words everywhere',
  },
  'link/testing': {
    may: ['proto/base', 'proto/wire', 'link/transport', 'link/streams'],
    pure: false,
    why: 'for the tests of whoever uses the link; no daemon has it',
  },
  'link/locators': {
    may: ['proto/base', 'link/transport', 'link/arguments'],
    pure: false,
    why: 'where to dial is known before anything is dialled',
  },
  'link/streams': {
    may: ['proto/base', 'proto/session', 'proto/wire', 'link/transport', 'link/arguments'],
    pure: false,
    why: 'a stream ends in a port, whichever session it is of',
  },
  'link/driver': {
    may: ['proto/base', 'proto/session', 'proto/wire', 'link/transport', 'link/streams'],
    pure: false,
    why: 'the one place that ties a session to lanes and streams',
  },
  'link/peers': {
    may: ['proto/base', 'proto/session', 'proto/wire', 'link/transport', 'link/driver'],
    pure: false,
    why: 'sessions are dialled and accepted whatever they carry, and whoever tells of it',
  },
  'link/protocols': {
    may: ['proto/session', 'proto/wire', 'link/transport', 'link/locators'],
    pure: false,
    why: 'who speaks what is known without a session; owners come and go as those of locators do',
  },
  'link/link': {
    may: [
      'proto/base',
      'proto/session',
      'proto/wire',
      'link/arguments',
      'link/behaviours',
      'link/driver',
      'link/locators',
      'link/peers',
      'link/protocols',
      'link/stats',
      'link/streams',
      'link/transport',
    ],
    pure: false,
    why: 'the one place that joins all of it for whoever uses the library',
  },
  'link/index.ts': {
    may: [
      'proto/base',
      'proto/wire',
      'link/behaviours',
      'link/driver',
      'link/link',
      'link/locators',
      'link/streams',
      'link/transport',
    ],
    pure: false,
    why: 'the public API and nothing else: createLink, and the errors and types that it speaks of',
  },
  'link/behaviours': {
    may: ['proto/base', 'link/transport', 'link/arguments'],
    pure: false,
    why: 'a conversation goes on over any channel of messages, and waits as a dial does',
  },
  'link/stats': {
    may: ['link/transport'],
    pure: false,
    why: 'whoever counts is told apart by names alone; a subscription waits as a dial does',
  },
  'link/prometheus': {
    may: ['link/stats'],
    pure: false,
    why: 'the one place with prom-client, for who has it',
  },
  'linux/native': { may: [], pure: false, why: 'symbols of the process, whoever calls them' },
  'linux/system': {
    may: ['linux/native'],
    pure: false,
    why: 'calls of the kernel, whoever makes them',
  },
  'linux/loop': {
    may: ['linux/native', 'linux/system'],
    pure: false,
    why: 'descriptors are watched, whatever they are',
  },
  'linux/memory': {
    may: ['linux/system'],
    pure: false,
    why: 'what is read is lent, whoever reads',
  },
  'linux/sockets': {
    may: [
      'proto/base',
      'proto/session',
      'proto/wire',
      'link/transport',
      'link/streams',
      'linux/native',
      'linux/system',
      'linux/loop',
      'linux/memory',
    ],
    pure: false,
    why: 'streams end in native sockets by the port of the link',
  },
  'linux/lanes': {
    may: [
      'proto/base',
      'link/transport',
      'linux/crypto',
      'linux/system',
      'linux/loop',
      'linux/sockets',
      'linux/tls',
    ],
    pure: false,
    why: 'the transport of TLS by the ports of the link, on native sockets',
  },
  'linux/index.ts': {
    may: ['linux/lanes'],
    pure: false,
    why: 'what a program gives its link, and nothing else',
  },
  'linux/crypto': {
    may: ['linux/native'],
    pure: false,
    why: 'ciphers know keys and bytes, not what is said with them',
  },
  'linux/tls': {
    may: ['proto/base', 'link/transport', 'linux/crypto'],
    pure: false,
    why: 'records and handshakes, whoever reads and writes the socket',
  },
  'routy/fabric': {
    may: ['proto/base', 'proto/session'],
    pure: true,
    why: 'policy is decided without IO',
  },
  'routy/pki': {
    may: ['proto/base', 'link/transport'],
    pure: false,
    why: 'certificates are made without a running node, for a lane to show',
  },
  'routy/enrol': {
    may: ['proto/base', 'link/transport', 'routy/pki'],
    pure: false,
    why: 'who waits to be adopted listens as a node does',
  },
  'routy/config': {
    may: ['proto/base'],
    pure: false,
    why: 'a file is checked without starting anything',
  },
  'routy/status': {
    may: ['link/driver', 'routy/config'],
    pure: false,
    why: 'the figures of a node are shapes, known to whoever fills or shows them',
  },
  'routy/observe': {
    may: ['proto/base', 'routy/config', 'routy/status'],
    pure: false,
    why: 'logs and metrics take figures as given',
  },
  'routy/sessions': {
    may: ['proto/base', 'link/driver', 'routy/fabric', 'routy/status'],
    pure: false,
    why: 'which sessions live, whoever began them',
  },
  'routy/events': {
    may: [
      'proto/base',
      'link/transport',
      'link/driver',
      'link/peers',
      'routy/enrol',
      'routy/observe',
      'routy/sessions',
      'routy/status',
    ],
    pure: false,
    why: 'what is told of things, not the things',
  },
  'routy/services': {
    may: [
      'proto/base',
      'proto/session',
      'link/transport',
      'link/driver',
      'link/streams',
      'routy/config',
      'routy/fabric',
      'routy/status',
    ],
    pure: false,
    why: 'targets know neither forwards nor who dials',
  },
  'routy/forwards': {
    may: [
      'proto/base',
      'link/transport',
      'link/driver',
      'link/streams',
      'routy/config',
      'routy/fabric',
      'routy/sessions',
      'routy/status',
    ],
    pure: false,
    why: 'clients know neither targets nor who dials',
  },
  'routy/peers': {
    may: [
      'proto/base',
      'link/transport',
      'link/driver',
      'link/peers',
      'routy/config',
      'routy/events',
      'routy/fabric',
      'routy/sessions',
      'routy/status',
    ],
    pure: false,
    why: 'what is told of sessions, whatever they carry',
  },
  'routy/node': {
    may: [
      'proto/base',
      'link/transport',
      'link/driver',
      'link/peers',
      'linux/lanes',
      'linux/sockets',
      'routy/config',
      'routy/enrol',
      'routy/events',
      'routy/fabric',
      'routy/forwards',
      'routy/observe',
      'routy/peers',
      'routy/services',
      'routy/sessions',
      'routy/status',
    ],
    pure: false,
    why: 'the one place that ties peers, services and forwards together',
  },
  'routy/admin': {
    may: ['proto/base', 'link/transport', 'routy/config', 'routy/status'],
    pure: false,
    why: 'it shows and steers a node; a node does not know who is asking',
  },
  'routy/cli': {
    may: [
      'proto/base',
      'link/transport',
      'routy/admin',
      'routy/config',
      'routy/enrol',
      'routy/events',
      'routy/node',
      'routy/observe',
      'routy/pki',
      'routy/status',
    ],
    pure: false,
    why: "argv to calls; frames and sessions are the node's business",
  },
  'routy/index.ts': {
    may: ['proto/base', 'routy/status'],
    pure: false,
    why: 'the public API and nothing else',
  },
};

/**
 * Each row may import those above it; those of one row are siblings and do not know each other. What a
 * layer does import of the rows above is in the table.
 */
const ROWS: readonly (readonly string[])[] = [
  ['proto/base', 'linux/native'],
  ['proto/wire', 'link/transport', 'linux/crypto', 'linux/system', 'routy/config'],
  ['link/arguments', 'link/stats'],
  [
    'proto/session',
    'link/behaviours',
    'link/locators',
    'link/prometheus',
    'linux/tls',
    'linux/loop',
    'linux/memory',
    'routy/pki',
  ],
  ['routy/fabric', 'link/streams', 'link/protocols', 'routy/enrol'],
  ['link/driver', 'link/testing', 'linux/sockets'],
  ['link/peers', 'linux/lanes', 'routy/status'],
  ['link/link', 'linux/index.ts'],
  ['link/index.ts'],
  ['routy/sessions', 'routy/observe', 'routy/admin'],
  ['routy/events', 'routy/services', 'routy/forwards'],
  ['routy/peers', 'routy/index.ts'],
  ['routy/node'],
  ['routy/cli'],
];

test('every folder is in the table and every entry of the table has files', () => {
  const seen = new Set(files.map((file) => file.layer));
  assert.deepEqual([...seen].sort(), Object.keys(LAYERS).sort());
});

test('a layer imports rows above its own, and no sibling', () => {
  const rowOf = new Map(ROWS.flatMap((row, index) => row.map((name) => [name, index] as const)));
  assert.deepEqual([...rowOf.keys()].sort(), Object.keys(LAYERS).sort());
  const upwards = Object.entries(LAYERS).flatMap(([name, { may }]) =>
    may
      .filter((other) => rowOf.get(other)! >= rowOf.get(name)!)
      .map((other) => `${name} -> ${other}`),
  );
  assert.deepEqual(upwards, []);
});

test('imports go one way', () => {
  const problems = checkedPerLayer((file, layer) =>
    importsOf(file.text).flatMap((found) => importProblem(file, layer, found)),
  );
  assert.deepEqual(problems, []);
});

test('every import that the table allows is made', () => {
  const made = new Set(
    files.flatMap((file) => targetsOf(file).map((to) => `${file.layer} -> ${layerOf(to)}`)),
  );
  const allowed = Object.entries(LAYERS).flatMap(([from, { may }]) =>
    may.map((to) => `${from} -> ${to}`),
  );
  assert.ok(allowed.length > 0);
  assert.deepEqual(
    allowed.filter((edge) => !made.has(edge)),
    [],
  );
});

/** Policy among IO: pure as the files of a pure folder are. */
const PURE_FILES = ['packages/link/src/peers/session-registry.ts'];

test('pure folders and files take time, randomness and bytes as arguments', () => {
  const pure = new Set(PURE_FILES);
  const problems = checkedPerLayer((file, layer) =>
    layer.pure || pure.delete(file.path)
      ? impureUses(file.text).map(
          (use) => `${file.path}:${use.line}: ${use.what} where all is pure`,
        )
      : [],
  );
  assert.deepEqual(problems, []);
  assert.deepEqual([...pure], [], 'a file that is named is there, and in no pure folder');
});

test('native calls are made in one file of a package, and few ask for them', () => {
  const LIBC = 'packages/link/src/transport/native/libc.ts';
  const PROCESS = 'packages/linux/src/native/process-library.ts';
  const MAY = [
    'packages/link/src/streams/keepalive.ts',
    'packages/link/src/transport/native/linux-socket.ts',
    'packages/routy/src/cli/running/garbage-collector.ts',
    'packages/routy/src/node/node.ts',
  ];
  const naming = files.filter(({ text }) => /['"]koffi['"]/.test(text)).map(({ path }) => path);
  assert.deepEqual(naming, [LIBC, PROCESS]);
  const asking = files.filter(({ text }) => /import [^;]*\blibc(Loaded)?\b[^;]* from/.test(text));
  assert.deepEqual(asking.map(({ path }) => path).sort(), MAY);
});

test(`no file is longer than ${LINES_MAX} lines`, () => {
  const problems = checkedPerLayer((file) => {
    const lines = file.text.split('\n').length - 1;
    return lines > LINES_MAX ? [`${file.path}: ${lines} lines`] : [];
  });
  assert.deepEqual(problems, []);
});

test('no file imports itself by way of others, types included', () => {
  const graph = new Map(files.map((file) => [file.path, targetsOf(file)]));
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
  const at = `${file.path}:${found.line}`;
  const target = resolve(file, found.what);
  if (target === undefined) {
    return layer.pure ? [`${at}: imports ${found.what}; ${file.layer} is pure`] : [];
  }
  if (!target.endsWith('.ts') && !target.endsWith('.json')) {
    return [`${at}: ${found.what} has no extension`];
  }
  if (!found.what.startsWith('.') && !files.some(({ path }) => path === target)) {
    return [`${at}: there is no ${target}`];
  }
  const [, ownPackage] = file.path.split('/');
  if (found.what.startsWith('.') && !target.startsWith(`packages/${ownPackage}/src/`)) {
    return target === `packages/${ownPackage}/package.json`
      ? []
      : [`${at}: ${found.what} leaves the package`];
  }
  const to = layerOf(target);
  if (to === file.layer || layer.may.includes(to)) return [];
  return [`${at}: ${file.layer} may not import ${target} (${layer.why})`];
}

/** Path in the repository; undefined for what is not ours. */
function resolve(file: SourceFile, specifier: string): string | undefined {
  if (specifier.startsWith('.')) return join(dirname(file.path), specifier);
  const ours = /^@routy\/(\w+)\/(\w+)$/.exec(specifier);
  return ours === null ? undefined : `packages/${ours[1]}/src/${ours[2]}/index.ts`;
}

/** Source files that a file imports, for their types alone or not. */
function targetsOf(file: SourceFile): string[] {
  return importsOf(file.text)
    .map((found) => resolve(file, found.what))
    .filter((target): target is string => target?.endsWith('.ts') === true);
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
