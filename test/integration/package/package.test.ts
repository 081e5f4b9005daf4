import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import type { NodeStatus } from '../../../packages/routy/src/status/status.ts';
import { NPM_ENV, packed } from './packed.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const run = promisify(execFile);

const TIMEOUT_MS = 240_000;

test('the daemon is packed as one file, which installs and runs where nothing of it was', {
  timeout: TIMEOUT_MS,
}, async (t) => {
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
  await t.test('without koffi a node runs, and without the native plane', async (t) => {
    const installed = join(directory, 'lean');
    await mkdir(installed);
    const { command, modules } = await inProject(installed, file, '--omit=optional');
    assert.ok(!(await readdir(modules)).includes('koffi'));
    const home = await madeHome(installed, command);
    await runsPortable(t, command, home, /^koffi is not installed/);
    await rm(join(modules, 'routy/node_modules/@routy/linux'), { recursive: true });
    await runsPortable(t, command, home, /^@routy\/linux does not load: Cannot find package/);
  });
});

/** Where npm has put the command, and the packages. */
interface Installed {
  readonly command: string;
  readonly modules: string;
}

async function inProject(
  directory: string,
  file: string,
  ...options: readonly string[]
): Promise<Installed> {
  await writeFile(join(directory, 'package.json'), '{"private": true}');
  const args = ['install', '--ignore-scripts', ...options, file];
  await run('npm', args, { cwd: directory, env: NPM_ENV });
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

  const home = await madeHome(directory, routy);
  assert.match((await run(routy, ['check', ...home])).stdout, /: ok\n$/);
  const link = join(modules, 'routy/node_modules/@routy/link/dist');
  const parts = ['arguments', 'driver', 'peers', 'streams', 'transport'];
  assert.deepEqual((await readdir(link)).sort(), parts);
  // Loads whatever a node is made of.
  await import(pathToFileURL(join(modules, 'routy/dist/cli/running/run-node.js')).href);
}

/** A node of its own fabric; the options that name it. */
async function madeHome(directory: string, routy: string): Promise<string[]> {
  const home = ['--config', join(directory, 'routy.toml')];
  const state = ['--state', join(directory, 'state')];
  await run(routy, ['init', '--site', 'gray', '--listen', '127.0.0.1:0', ...home, ...state]);
  return home;
}

interface LogLine {
  readonly event: string;
  readonly reason?: string;
}

/** It comes up although it is to be native, and says in its log and status why it is not. */
async function runsPortable(
  t: TestContext,
  routy: string,
  home: readonly string[],
  reason: RegExp,
): Promise<void> {
  const config = home[1]!;
  const toml = await readFile(config, 'utf8');
  await writeFile(
    config,
    toml.replace(/^\[node\]\n(data_plane.*\n)?/m, '[node]\ndata_plane = "native"\n'),
  );
  // Here koffi is missing, whatever machine the tests are told to be on.
  const env = { ...process.env, NODE_OPTIONS: '' };
  const node = spawn(routy, ['up', ...home], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => node.kill('SIGKILL'));
  const ended = once(node, 'exit');
  const told: LogLine[] = [];
  await new Promise<void>((resolve, reject) => {
    const log = createInterface(node.stdout);
    log.on('line', (line) => {
      told.push(JSON.parse(line) as LogLine);
      if (told.at(-1)!.event === 'node-up') resolve();
    });
    log.on('close', () => reject(new Error(`it has ended: ${JSON.stringify(told)}`)));
  });
  const [why, ...again] = told.filter(({ event }) => event === 'data-plane');
  assert.match(why!.reason!, reason);
  assert.deepEqual(again, []);
  const { stdout } = await run(routy, ['status', '--json', ...home]);
  const { dataPlane } = JSON.parse(stdout) as NodeStatus;
  assert.equal(dataPlane.inUse, 'portable');
  assert.match(dataPlane.reason!, reason);
  node.kill('SIGTERM');
  assert.deepEqual(await ended, [0, null]);
}
