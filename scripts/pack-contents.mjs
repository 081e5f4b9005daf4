// For `npm pack --workspace NAME`: everything a package needs in one file. What belongs to the whole
// repository, and the packages that npm only links to, is copied into the package's directory for as
// long as npm packs it. With ROUTY_BUILT=1 the build that is there is taken.
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
/** Parts of the link that a daemon runs; the rest is for programs of others and their tests. */
const LINK_PARTS = ['arguments', 'driver', 'peers', 'streams', 'transport'];
const link = join(root, 'packages', 'link', 'dist');

/** Made of docstrings on whoever's machine it was asked for. */
const api = join(root, 'docs', 'api');

/** Files of the repository, by their places in the package; packages; which of their files. */
const CONTENTS = {
  routy: {
    shared: Object.fromEntries(
      ['docs', 'packaging', 'README.md', 'CHANGELOG.md', 'LICENSE'].map((name) => [name, name]),
    ),
    bundled: ['proto', 'link', 'linux'],
    takes: (path) => dirname(path) !== link || LINK_PARTS.includes(basename(path)),
  },
  link: {
    shared: { 'README.md': 'docs/LINK.md', LICENSE: 'LICENSE' },
    bundled: ['proto'],
    takes: () => true,
  },
  linux: {
    shared: { LICENSE: 'LICENSE' },
    bundled: ['proto'],
    takes: () => true,
  },
};

// npm runs this where the package is.
const directory = process.cwd();
const contents = CONTENTS[basename(directory)];
const [action] = process.argv.slice(2);
if (contents === undefined || !['gather', 'remove'].includes(action)) {
  throw new Error(
    'usage, in packages/routy, packages/link or packages/linux: pack-contents.mjs gather|remove',
  );
}
if (action === 'gather') gather(contents);
else remove(contents);

function gather({ shared, bundled, takes }) {
  if (process.env.ROUTY_BUILT !== '1') build();
  remove(contents);
  for (const [to, from] of Object.entries(shared)) {
    cpSync(join(root, from), join(directory, to), {
      recursive: true,
      filter: (path) => path !== api,
    });
  }
  for (const name of bundled) {
    const place = join(directory, 'node_modules', '@routy', name);
    mkdirSync(place, { recursive: true });
    const from = join(root, 'packages', name);
    cpSync(join(from, 'dist'), join(place, 'dist'), { recursive: true, filter: takes });
    writeFileSync(join(place, 'package.json'), manifestIn(from));
    cpSync(join(root, 'LICENSE'), join(place, 'LICENSE'));
  }
}

/**
 * What a bundled package depends on, whoever bundles it depends on as well. Said twice, npm takes it
 * for bundled where it lies beside (as in a global install), and leaves its directory empty.
 */
function manifestIn(from) {
  const manifest = JSON.parse(readFileSync(join(from, 'package.json'), 'utf8'));
  for (const key of Object.keys(manifest)) if (/dependencies/i.test(key)) delete manifest[key];
  return `${JSON.stringify(manifest, null, 2)}\n`;
}

function build() {
  const { status } = spawnSync(process.execPath, [join(root, 'scripts', 'build.mjs')], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  if (status !== 0) process.exit(status ?? 1);
}

function remove({ shared }) {
  for (const name of Object.keys(shared)) {
    rmSync(join(directory, name), { recursive: true, force: true });
  }
  rmSync(join(directory, 'node_modules', '@routy'), { recursive: true, force: true });
}
