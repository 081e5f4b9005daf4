// `npm run demo` on a fresh clone: plain JavaScript, because neither tsx nor the build is there yet.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Runs a command here; its failure is ours. */
function run(command, args) {
  const result = spawnSync(command, args, { cwd: root, stdio: 'inherit' });
  if (result.error) {
    process.stderr.write(`demo: cannot run ${command}: ${result.error.message}\n`);
    process.exit(1);
  }
  if (result.status !== 0) process.exit(result.status ?? 1);
}

// The lock file in node_modules is written last, so a broken installation is not taken for a whole one.
if (!existsSync(`${root}node_modules/.package-lock.json`)) {
  process.stdout.write('demo: installing dependencies (npm ci), once\n');
  run('npm', ['ci', '--no-audit', '--no-fund']);
}
run('npm', ['run', '--silent', 'build']);

// The demo stops its children on a signal; this process only waits for it.
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => {});
run(process.execPath, ['dist/cli/main.js', 'demo', ...process.argv.slice(2)]);
