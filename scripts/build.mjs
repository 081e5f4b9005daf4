// Builds the packages in the order in which they import each other: each is compiled against the
// declarations of those before it, so that what one does not export, another cannot use.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const PACKAGES = ['proto', 'link', 'linux', 'routy'];

// Left by a packing that was interrupted, they would be used instead of what is built here.
for (const name of ['routy', 'link', 'linux']) {
  rmSync(`${root}packages/${name}/node_modules/@routy`, { recursive: true, force: true });
}
for (const name of PACKAGES) {
  const tsc = `${root}node_modules/typescript/bin/tsc`;
  const command = [tsc, '-p', `packages/${name}/tsconfig.json`];
  const { status } = spawnSync(process.execPath, command, { cwd: root, stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
  removeStale(join(root, 'packages', name));
}

/** What was built of files that are no longer there must be neither found nor packed. */
function removeStale(directory) {
  const dist = join(directory, 'dist');
  for (const path of readdirSync(dist, { recursive: true })) {
    const built = /^(.*)\.(?:js|js\.map|d\.ts)$/.exec(path);
    if (built !== null && !existsSync(join(directory, 'src', `${built[1]}.ts`))) {
      rmSync(join(dist, path));
    }
  }
}
