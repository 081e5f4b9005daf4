import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { NPM_ENV, packed } from './packed.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const run = promisify(execFile);

test('the daemon is packed as one file, which installs and runs where nothing of it was', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'routy-package-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  const file = await packed('routy', ['proto', 'link', 'linux', 'routy'], directory);
  assert.match(basename(file), /^routy-.*\.tgz$/);
  for (const install of [inProject, globally]) {
    const installed = join(directory, install.name);
    await mkdir(installed);
    const { command, modules } = await install(installed, file);
    await use(installed, command, modules);
  }
});

/** Where npm has put the command, and the packages. */
interface Installed {
  readonly command: string;
  readonly modules: string;
}

async function inProject(directory: string, file: string): Promise<Installed> {
  await writeFile(join(directory, 'package.json'), '{"private": true}');
  await run('npm', ['install', '--ignore-scripts', file], { cwd: directory, env: NPM_ENV });
  const modules = join(directory, 'node_modules');
  return { command: join(modules, '.bin', 'routy'), modules };
}

/** As the README says; there all that it depends on lies beside what is bundled. */
async function globally(directory: string, file: string): Promise<Installed> {
  const place = ['--global', '--prefix', directory];
  await run('npm', ['install', '--ignore-scripts', ...place, file], { env: NPM_ENV });
  return {
    command: join(directory, 'bin', 'routy'),
    modules: join(directory, 'lib', 'node_modules'),
  };
}

async function use(directory: string, routy: string, modules: string): Promise<void> {
  const { stdout } = await run(routy, ['--version']);
  const { version } = JSON.parse(await readFile(join(root, 'packages/routy/package.json'), 'utf8'));
  assert.equal(stdout.trim(), version);

  const home = ['--config', join(directory, 'routy.toml')];
  const state = ['--state', join(directory, 'state')];
  await run(routy, ['init', '--site', 'gray', '--listen', '127.0.0.1:7443', ...home, ...state]);
  assert.match((await run(routy, ['check', ...home])).stdout, /: ok\n$/);
  const link = join(modules, 'routy/node_modules/@routy/link/dist');
  const parts = ['arguments', 'driver', 'peers', 'streams', 'transport'];
  assert.deepEqual((await readdir(link)).sort(), parts);
  // Loads whatever a node is made of.
  await import(pathToFileURL(join(modules, 'routy/dist/cli/running/run-node.js')).href);
}
