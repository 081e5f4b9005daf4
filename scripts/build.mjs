// Builds the packages in the order in which they import each other: each is compiled against the
// declarations of those before it, so that what one does not export, another cannot use.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const PACKAGES = ['proto', 'link', 'routy'];

for (const name of PACKAGES) {
  const tsc = `${root}node_modules/typescript/bin/tsc`;
  const command = [tsc, '-p', `packages/${name}/tsconfig.json`];
  const { status } = spawnSync(process.execPath, command, { cwd: root, stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}
