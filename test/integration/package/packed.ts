import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cp, mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const run = promisify(execFile);

/** What else of the repository goes into one of the packages, or packs them. */
const COMMON = [
  ...['package.json', 'scripts', 'docs', 'packaging'],
  ...['README.md', 'CHANGELOG.md', 'LICENSE'],
];

/**
 * Packs a workspace into the directory `destination/packed`, of a copy of the build: while npm packs,
 * other tests run the build itself. Gives the path of the one file.
 */
export async function packed(
  workspace: string,
  packages: readonly string[],
  destination: string,
): Promise<string> {
  const copy = join(destination, 'copy');
  const parts = packages.flatMap((name) => [
    `packages/${name}/dist`,
    `packages/${name}/package.json`,
  ]);
  for (const part of [...COMMON, ...parts]) {
    await cp(join(root, part), join(copy, part), { recursive: true });
  }
  const to = join(destination, 'packed');
  await mkdir(to);
  const env = { ...process.env, ROUTY_BUILT: '1' };
  await run('npm', ['pack', '--workspace', workspace, '--pack-destination', to], {
    cwd: copy,
    env,
  });
  const [file, ...others] = await readdir(to);
  assert.deepEqual(others, []);
  return join(to, file!);
}

/** For npm: asks the network for what the cache has not, and for nothing else. */
export const NPM_ENV = {
  ...process.env,
  npm_config_audit: 'false',
  npm_config_fund: 'false',
  npm_config_prefer_offline: 'true',
};
