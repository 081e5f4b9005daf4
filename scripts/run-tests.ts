/**
 * Runs the test files: `node --import tsx scripts/run-tests.ts [--no-coverage] [CATEGORY|PATH-PART]...`.
 *
 * Node 20's `--test` knows no globs and is content with nothing to run, so this collects the files
 * itself and fails when a category, a filter or the whole finds none. Without a filter the pure
 * categories run under c8, which fails below the thresholds in `.c8rc.json`.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const COVERED = ['unit', 'property', 'sim'];
const PLAIN = ['integration', 'hostile', 'arch'];
/** Longest a single test file may take, in ms: a hanging test fails instead of hanging the run. */
const FILE_TIMEOUT_MS = 300_000;
/** Most files wait more than they compute; Node's own choice on two cores is one at a time. */
const CONCURRENCY = Math.max(2, availableParallelism() - 1);

const args = process.argv.slice(2);
const filters = args.filter((arg) => !arg.startsWith('--'));
const unknown = args.find((arg) => arg.startsWith('--') && arg !== '--no-coverage');
if (unknown !== undefined) fail(`unknown option ${unknown}`, 2);
const withCoverage = !args.includes('--no-coverage') && filters.length === 0;

if (filters.length > 0) {
  if (!passes(selectByFilters(), false)) process.exit(1);
} else {
  const covered = COVERED.flatMap(filesOfCategory);
  const plain = PLAIN.flatMap(filesOfCategory);
  const results = [passes(covered, withCoverage), passes(plain, false)];
  if (results.includes(false)) process.exit(1);
}

/** The test files of `test/CATEGORY`, at least one. */
function filesOfCategory(category: string): string[] {
  const files = filesIn(category);
  if (files.length === 0) fail(`no test file in test/${category}`, 1);
  return files;
}

function filesIn(category: string): string[] {
  const directory = join(root, 'test', category);
  if (!existsSync(directory)) return [];
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => relative(root, join(directory, name)))
    .sort();
}

/** The files whose path contains one of the filters; every filter must find one. */
function selectByFilters(): string[] {
  const all = [...COVERED, ...PLAIN].flatMap(filesIn);
  const chosen = new Set<string>();
  for (const filter of filters) {
    const isCategory = COVERED.includes(filter) || PLAIN.includes(filter);
    const wanted = filter.replace(/^\.\//, '');
    const found = isCategory ? filesIn(filter) : all.filter((file) => file.includes(wanted));
    if (found.length === 0) fail(`no test file matches ${filter}`, 1);
    for (const file of found) chosen.add(file);
  }
  return [...chosen].sort();
}

/** Runs the files in processes of their own; false when one fails or too little is covered. */
function passes(files: readonly string[], coverage: boolean): boolean {
  const options = [
    `--test-timeout=${FILE_TIMEOUT_MS}`,
    `--test-concurrency=${CONCURRENCY}`,
    `--test-reporter=${join(root, 'scripts', 'test-reporter.mjs')}`,
  ];
  const test = ['--import', 'tsx', '--test', ...options, ...files];
  const c8 = join(root, 'node_modules', 'c8', 'bin', 'c8.js');
  const command = coverage ? [c8, process.execPath, ...test] : test;
  const result = spawnSync(process.execPath, command, { cwd: root, stdio: 'inherit' });
  if (result.error !== undefined) fail(result.error.message, 1);
  return result.status === 0;
}

function fail(message: string, code: number): never {
  process.stderr.write(`run-tests: ${message}\n`);
  process.exit(code);
}
