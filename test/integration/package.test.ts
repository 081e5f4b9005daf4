import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';

const root = fileURLToPath(new URL('../..', import.meta.url));
const run = promisify(execFile);
/** The build that the other tests use at the same time is packed, and not made anew. */
const env = { ...process.env, ROUTY_BUILT: '1' };

test('the daemon is packed as one file, which installs and runs where nothing of it was', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'routy-package-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  await run('npm', ['pack', '--workspace', 'routy', '--pack-destination', directory], {
    cwd: root,
    env,
  });
  const [file, ...others] = await readdir(directory);
  assert.match(file!, /^routy-.*\.tgz$/);
  assert.deepEqual(others, []);

  await writeFile(join(directory, 'package.json'), '{"private": true}');
  const quiet = ['--no-audit', '--no-fund', '--ignore-scripts', '--prefer-offline'];
  await run('npm', ['install', ...quiet, `./${file}`], { cwd: directory });
  const routy = join(directory, 'node_modules', '.bin', 'routy');
  const { stdout } = await run(routy, ['--version']);
  const { version } = JSON.parse(await readFile(join(root, 'packages/routy/package.json'), 'utf8'));
  assert.equal(stdout.trim(), version);

  const home = ['--config', join(directory, 'routy.toml')];
  await run(routy, [
    'init',
    '--site',
    'gray',
    '--listen',
    '127.0.0.1:7443',
    ...home,
    '--state',
    join(directory, 'state'),
  ]);
  assert.match((await run(routy, ['check', ...home])).stdout, /: ok\n$/);
  // Loads whatever a node is made of.
  await import(pathToFileURL(join(directory, 'node_modules/routy/dist/cli/run-node.js')).href);
  await assert.rejects(run(routy, ['demo']), /the demo needs packages/);
});
