// `npm run demo` on a fresh clone: plain JavaScript, because neither tsx nor the build is there yet.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Runs npm here; its failure is ours. */
function npm(...args) {
  // The npm that runs this script, whatever PATH says; by name when there is none.
  const { npm_execpath: script } = process.env;
  const command = script === undefined ? ['npm'] : [process.execPath, script];
  const result = spawnSync(command[0], [...command.slice(1), ...args], {
    cwd: root,
    stdio: 'inherit',
  });
  if (result.error) {
    process.stderr.write(`demo: cannot run npm: ${result.error.message}\n`);
    process.exit(1);
  }
  if (result.status !== 0) process.exit(result.status ?? 1);
}

// The lock file in node_modules is written last, so a broken installation is not taken for a whole one.
if (!existsSync(`${root}node_modules/.package-lock.json`)) {
  process.stdout.write('demo: installing dependencies (npm ci), once\n');
  npm('ci', '--no-audit', '--no-fund');
}
npm('run', '--silent', 'build');

// In this process, so that a signal meant for the demo reaches it.
// tsx would leave what it has compiled in the directory for temporary files.
process.env.TSX_DISABLE_CACHE = '1';
const { register } = await import('tsx/esm/api');
register();
const { main } = await import('../demo/main.ts');
process.exitCode = await main(process.argv.slice(2));
