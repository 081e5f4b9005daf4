// `npm run docs:api`: the reference of the public entries of @routy/proto and @routy/link, made of
// their docstrings, into docs/api; fails where a link in them leads nowhere. TypeDoc needs a TypeScript
// written in JavaScript, while the project's compiler is native; so both have a directory and a lock
// file of their own, installed once. The packages themselves have to be installed (`npm ci`).
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const directory = `${root}scripts/api`;
const pages = `${root}docs/api`;

function run(command, ...args) {
  const result = spawnSync(command, args, { cwd: directory, stdio: 'inherit' });
  if (result.error) process.stderr.write(`docs:api: ${result.error.message}\n`);
  if (result.status !== 0) process.exit(result.status ?? 1);
}

/** What programs can import of a package, and the source of each entry: its `exports`. */
function entriesOf(name) {
  const { exports } = JSON.parse(readFileSync(`${root}packages/${name}/package.json`, 'utf8'));
  return Object.entries(exports).map(([entry, { types }]) => ({
    name: `@routy/${name}${entry.slice(1)}`,
    source: `${root}packages/${name}/${types.replace('./dist/', 'src/').replace('.d.ts', '.ts')}`,
  }));
}

if (!existsSync(`${directory}/node_modules/.package-lock.json`)) {
  run('npm', 'ci', '--no-audit', '--no-fund');
}
const entries = ['link', 'proto'].flatMap(entriesOf);
rmSync(pages, { recursive: true, force: true });
const sources = entries.flatMap(({ source }) => ['--entryPoints', source]);
run(process.execPath, 'node_modules/typedoc/bin/typedoc', '--out', pages, ...sources);
const index = readFileSync(`${directory}/index.md`, 'utf8');
const unnamed = entries.filter(({ name }) => !index.includes(`\`${name}\``));
if (unnamed.length > 0) {
  const names = unnamed.map(({ name }) => name).join(', ');
  process.stderr.write(`docs:api: scripts/api/index.md says nothing of ${names}\n`);
  process.exit(1);
}
const missing = entries
  .map(({ name }) => name)
  .filter((name) => !existsSync(`${pages}/modules/${name.replace(/[^\w]/g, '_')}.html`));
if (missing.length > 0) {
  process.stderr.write(`docs:api: there is no page for ${missing.join(', ')}\n`);
  process.exit(1);
}
