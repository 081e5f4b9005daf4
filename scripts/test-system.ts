/**
 * Runs the system tests: `node --import tsx scripts/test-system.ts [--plane PLANE] [--overwrite] [PATH-PART]...`.
 *
 * With `--plane native` all nodes are on the native data plane, with `--plane red=native,gray=portable` those of
 * one site; without it they choose by themselves. With `--overwrite` the native plane overwrites what it has lent.
 *
 * They need root (network namespaces, nftables) and the servers that
 * `scripts/install-system-deps.sh` installs. One file after the other, against the built `dist/`;
 * fails when no file is found or a filter matches none.
 */
import { spawnSync } from 'node:child_process';
import { accessSync, constants, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { removeOrphans } from '../test/support/namespaces/namespaces.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const POSTGRES_BIN = process.env.POSTGRES_BIN ?? '/usr/lib/postgresql/15/bin';
const TOOLS = [
  ...[
    'ip',
    'tc',
    'nft',
    'ss',
    'sshd',
    'autossh',
    'setpriv',
    'sysctl',
    'socat',
    'openssl',
    `${POSTGRES_BIN}/postgres`,
  ],
  ...[`${POSTGRES_BIN}/initdb`, `${POSTGRES_BIN}/pgbench`, 'redis-server', 'redis-cli'],
  ...['mariadbd', 'mariadb-install-db', 'mariadb'],
];
/** Preloaded with `--overwrite`. */
const OVERWRITING = join(root, 'test', 'support', 'linux', 'overwriting-preload.mjs');
/** Longest a single test file may take, in ms. */
const FILE_TIMEOUT_MS = 300_000;

const { values: options, positionals } = parseArgs({
  options: { plane: { type: 'string' }, overwrite: { type: 'boolean', default: false } },
  allowPositionals: true,
});
if (options.plane !== undefined) process.env.ROUTY_TEST_DATA_PLANE = planeGiven(options.plane);
if (options.overwrite) process.env.NODE_OPTIONS = `--import=${OVERWRITING}`;
const files = selectFiles(positionals);
checkPrerequisites();
step('npm', ['run', '--silent', 'build']);
for (const name of await removeOrphans()) console.log(`removed left-over namespace ${name}`);
step(process.execPath, [
  ...['--import', 'tsx', '--test', '--test-concurrency=1', '--test-reporter=spec'],
  ...[`--test-timeout=${FILE_TIMEOUT_MS}`, ...files],
]);

function selectFiles(filters: readonly string[]): string[] {
  const all = readdirSync(join(root, 'test', 'system'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => join('test', 'system', name))
    .sort();
  if (all.length === 0) fail('no test file in test/system');
  for (const filter of filters) {
    if (!all.some((file) => file.includes(filter))) fail(`no test file matches ${filter}`);
  }
  return all.filter((file) => filters.length === 0 || filters.some((part) => file.includes(part)));
}

function planeGiven(plane: string): string {
  const one = '(?:native|portable)';
  if (!new RegExp(`^(?:${one}|(?:(?:red|gray)=${one},?)+)$`).test(plane)) {
    fail(`--plane ${plane}: it is native, portable, or for each site, red=native,gray=portable`);
  }
  return plane;
}

function checkPrerequisites(): void {
  if (process.getuid?.() !== 0) {
    fail('network namespaces and firewall rules need root: run it with sudo');
  }
  const missing = TOOLS.filter((tool) => !isExecutable(tool));
  if (missing.length > 0) {
    fail(`not found: ${missing.join(', ')}; install with scripts/install-system-deps.sh`);
  }
}

function isExecutable(tool: string): boolean {
  const directories = (process.env.PATH ?? '').split(':').concat('/usr/sbin', '/sbin');
  const candidates = tool.startsWith('/') ? [tool] : directories.map((path) => join(path, tool));
  return candidates.some((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

function step(command: string, args: readonly string[]): void {
  const result = spawnSync(command, args, { cwd: root, stdio: 'inherit' });
  if (result.error !== undefined) fail(result.error.message);
  if (result.status !== 0) process.exit(result.status ?? 1);
}

function fail(message: string): never {
  process.stderr.write(`test-system: ${message}\n`);
  process.exit(1);
}
