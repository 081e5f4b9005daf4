// `npm run docs:api`: the reference of the public entries of @routy/proto and @routy/link, made of
// their docstrings, into docs/api. TypeDoc needs a TypeScript written in JavaScript, while the
// project's compiler is native; so both have a directory and a lock file of their own, installed once.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const directory = fileURLToPath(new URL('api', import.meta.url));

function run(command, ...args) {
  const result = spawnSync(command, args, { cwd: directory, stdio: 'inherit' });
  if (result.error) process.stderr.write(`docs:api: ${result.error.message}\n`);
  if (result.status !== 0) process.exit(result.status ?? 1);
}

if (!existsSync(`${directory}/node_modules/.package-lock.json`)) {
  run('npm', 'ci', '--no-audit', '--no-fund');
}
run(process.execPath, 'node_modules/typedoc/bin/typedoc');
