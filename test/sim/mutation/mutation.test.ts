import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { copySimulation, MUTATIONS, mutate } from './mutations.ts';

/** A bug that so many seeds do not show would hide for long. */
const SEEDS_MAX = 100;

const root = fileURLToPath(new URL('../../..', import.meta.url));
const directory = mkdtempSync(join(tmpdir(), 'routy-mutations-'));
after(() => rmSync(directory, { recursive: true, force: true }));

/** Highest seed that was needed to catch a bug. */
let seedsNeeded = 0;

for (const [index, mutation] of MUTATIONS.entries()) {
  test(`caught: ${mutation.name}`, () => {
    const copy = join(directory, String(index));
    copySimulation(copy);
    mutate(copy, mutation);
    const { status, output } = simulate(copy, SEEDS_MAX);
    const failed = /^seed (\d+) FAILED: (.*)$/m.exec(output);
    assert.ok(failed !== null, `not caught by ${SEEDS_MAX} seeds:\n${output}`);
    assert.equal(status, 1, output);
    seedsNeeded = Math.max(seedsNeeded, Number(failed[1]));
  });
}

test('the same seeds find nothing in the source as it is', () => {
  const copy = join(directory, 'unpatched');
  copySimulation(copy);
  const { status, output } = simulate(copy, seedsNeeded);
  assert.match(output, new RegExp(`^${seedsNeeded} seeds from 1: all good`));
  assert.equal(status, 0);
});

test('a patch that does not fit fails', () => {
  const copy = join(directory, 'misfit');
  copySimulation(copy);
  const file = 'packages/proto/src/session/lanes/lane-admission.ts';
  const misfit = { name: 'misfit', file, replace: '' };
  assert.throws(() => mutate(copy, { ...misfit, find: 'not in the source' }), /found 0 times/);
  assert.throws(() => mutate(copy, { ...misfit, find: 'epoch' }), /found \d+ times instead of/);
});

function simulate(copy: string, seeds: number): { status: number | null; output: string } {
  const { NODE_V8_COVERAGE: _, ...rest } = process.env;
  const env = { ...rest, TSX_TSCONFIG_PATH: join(copy, 'tsconfig.json') };
  const script = join(copy, 'test/sim/main.ts');
  const options = ['--seeds', String(seeds), '--workers', '1', '--failures', '1'];
  const { status, stdout, error } = spawnSync(
    process.execPath,
    ['--import', 'tsx', script, ...options],
    { cwd: root, env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] },
  );
  if (error !== undefined) throw error;
  return { status, output: stdout };
}
