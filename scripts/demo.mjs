// `npm run demo` on a fresh clone: plain JavaScript, because neither tsx nor the build is there yet.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

// npm writes this file last, so that a broken installation is not taken for a whole one.
if (!existsSync(`${root}node_modules/.package-lock.json`)) {
  process.stdout.write('demo: installing dependencies (npm ci), once\n');
  run('npm', ['ci', '--no-audit', '--no-fund', '--ignore-scripts']);
}
run('npm', ['run', '--silent', 'build']);
play(process.argv.slice(2));

/** Runs a preparation; its failure is ours. */
function run(command, args) {
  const result = spawnSync(command, args, { cwd: root, stdio: 'inherit' });
  if (result.error) fail(command, result.error);
  if (result.status !== 0) process.exit(result.status ?? 1);
}

/** Runs the demo itself, which takes down what it started when it is told to end. */
function play(args) {
  const demo = spawn(process.execPath, ['dist/cli/main.js', 'demo', ...args], {
    cwd: root,
    stdio: 'inherit',
  });
  // Ctrl-C reaches the demo by itself: the terminal sends SIGINT to every process in front.
  process.on('SIGINT', () => {});
  for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => demo.kill(signal));
  demo.on('error', (error) => fail('routy demo', error));
  demo.on('exit', (code) => process.exit(code ?? 1));
}

function fail(command, error) {
  process.stderr.write(`demo: cannot run ${command}: ${error.message}\n`);
  process.exit(1);
}
