import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** Below it the packages are found as programs of others find them: as they are built. */
const BUILT = join(ROOT, 'node_modules', '.cache', 'routy-bench');

/**
 * Compiles the program of both ends, as its users' are compiled, and says where it is. One that compiles
 * what it loads has made so many objects by then that V8 collects in other steps ever after.
 */
export function buildEnd(): string {
  rmSync(BUILT, { recursive: true, force: true });
  const tsc = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
  const project = join(ROOT, 'bench', 'link', 'tsconfig.built.json');
  const { status, stdout, error } = spawnSync(process.execPath, [tsc, '-p', project], {
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`bench/link does not compile: ${error?.message ?? stdout}`);
  return join(BUILT, 'bench', 'link', 'end.js');
}
