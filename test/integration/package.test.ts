import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { NPM_ENV, packed } from '../support/packed.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const run = promisify(execFile);

test('the daemon is packed as one file, which installs and runs where nothing of it was', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'routy-package-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  const file = await packed('routy', ['proto', 'link', 'linux', 'routy'], directory);
  assert.match(basename(file), /^routy-.*\.tgz$/);
  const installed = join(directory, 'installed');
  await mkdir(installed);
  await install(installed, file);
  await use(installed);
});

async function install(directory: string, file: string): Promise<void> {
  await writeFile(join(directory, 'package.json'), '{"private": true}');
  await run('npm', ['install', '--ignore-scripts', file], { cwd: directory, env: NPM_ENV });
}

async function use(directory: string): Promise<void> {
  const routy = join(directory, 'node_modules', '.bin', 'routy');
  const { stdout } = await run(routy, ['--version']);
  const { version } = JSON.parse(await readFile(join(root, 'packages/routy/package.json'), 'utf8'));
  assert.equal(stdout.trim(), version);

  const home = ['--config', join(directory, 'routy.toml')];
  const state = ['--state', join(directory, 'state')];
  await run(routy, ['init', '--site', 'gray', '--listen', '127.0.0.1:7443', ...home, ...state]);
  assert.match((await run(routy, ['check', ...home])).stdout, /: ok\n$/);
  const link = join(directory, 'node_modules/routy/node_modules/@routy/link/dist');
  assert.deepEqual((await readdir(link)).sort(), ['driver', 'peers', 'streams', 'transport']);
  // Loads whatever a node is made of.
  await import(
    pathToFileURL(join(directory, 'node_modules/routy/dist/cli/running/run-node.js')).href
  );
}
