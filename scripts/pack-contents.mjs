// For `npm pack --workspace routy`: everything the daemon needs in one file. What belongs to the whole
// repository, and the packages that npm only links to, is copied into the daemon's directory for as
// long as npm packs it. With ROUTY_BUILT=1 the build that is there is taken.
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const daemon = join(root, 'packages', 'routy');
const SHARED = ['docs', 'packaging', 'README.md', 'CHANGELOG.md', 'LICENSE'];
const BUNDLED = ['proto', 'link'];
/** Parts of the link that a daemon runs. */
const LINK_PARTS = ['driver', 'peers', 'streams', 'transport'];

const [action] = process.argv.slice(2);
if (action === 'gather') gather();
else if (action === 'remove') remove();
else throw new Error('usage: pack-contents.mjs gather|remove');

function gather() {
  if (process.env.ROUTY_BUILT !== '1') build();
  remove();
  for (const name of SHARED) cpSync(join(root, name), join(daemon, name), { recursive: true });
  for (const name of BUNDLED) {
    const bundled = join(daemon, 'node_modules', '@routy', name);
    mkdirSync(bundled, { recursive: true });
    for (const part of ['dist', 'package.json']) {
      const from = join(root, 'packages', name, part);
      cpSync(from, join(bundled, part), { recursive: true, filter: isForDaemons });
    }
    cpSync(join(root, 'LICENSE'), join(bundled, 'LICENSE'));
  }
}

function build() {
  const { status } = spawnSync(process.execPath, [join(root, 'scripts', 'build.mjs')], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  if (status !== 0) process.exit(status ?? 1);
}

/** The rest of the link is for programs of others and their tests. */
function isForDaemons(path) {
  const link = join(root, 'packages', 'link', 'dist');
  return dirname(path) !== link || LINK_PARTS.includes(basename(path));
}

function remove() {
  for (const name of SHARED) rmSync(join(daemon, name), { recursive: true, force: true });
  rmSync(join(daemon, 'node_modules', '@routy'), { recursive: true, force: true });
}
