import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';

const root = fileURLToPath(new URL('../..', import.meta.url));
const run = promisify(execFile);
const PACKED = [
  'package.json',
  'scripts',
  'docs',
  'packaging',
  'README.md',
  'CHANGELOG.md',
  'LICENSE',
];
const PACKAGES = ['proto', 'link', 'routy'];

test('the daemon is packed as one file, which installs and runs where nothing of it was', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'routy-package-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  const directories = { copy: join(directory, 'copy'), installed: join(directory, 'installed') };
  await mkdir(directories.installed);
  const file = await pack(directories.copy, directories.installed);
  await install(directories.installed, file);
  await use(directories.installed);
});

/** Packs a copy of the build: while npm packs, other tests run the build itself. */
async function pack(copy: string, destination: string): Promise<string> {
  const parts = PACKAGES.flatMap((name) => [
    `packages/${name}/dist`,
    `packages/${name}/package.json`,
  ]);
  for (const part of [...PACKED, ...parts]) {
    await cp(join(root, part), join(copy, part), { recursive: true });
  }
  const env = { ...process.env, ROUTY_BUILT: '1' };
  const command = ['pack', '--workspace', 'routy', '--pack-destination', destination];
  await run('npm', command, { cwd: copy, env });
  const [file, ...others] = await readdir(destination);
  assert.match(file!, /^routy-.*\.tgz$/);
  assert.deepEqual(others, []);
  return file!;
}

async function install(directory: string, file: string): Promise<void> {
  await writeFile(join(directory, 'package.json'), '{"private": true}');
  const quiet = ['--no-audit', '--no-fund', '--ignore-scripts', '--prefer-offline'];
  await run('npm', ['install', ...quiet, `./${file}`], { cwd: directory });
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
