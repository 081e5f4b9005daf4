import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cp, mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Cutter, Program, temporary } from '../support/example-programs.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const run = promisify(execFile);
const PACKED = ['package.json', 'scripts', 'docs', 'LICENSE'];
const PACKAGES = ['proto', 'link'];
const TARBALL = 'routy-link-0.1.0.tgz';

/** Everything that a project has which installs the library; koffi is one for each system. */
const TREE = [
  ...['@koromix', '@routy/link', '@routy/link/node_modules/@routy/proto', 'ip-address', 'koffi'],
  ...['smart-buffer', 'socks'],
];

/** The blocks of a document in one language. */
async function blocksOf(document: string, language: string): Promise<string[]> {
  const text = await readFile(join(root, 'docs', document), 'utf8');
  const fence = new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, 'gms');
  return [...text.matchAll(fence)].map(([, block]) => block!);
}

/** Packs a copy of the build: while npm packs, other tests run the build itself. */
async function pack(copy: string, destination: string): Promise<void> {
  const parts = PACKAGES.flatMap((name) => [
    `packages/${name}/dist`,
    `packages/${name}/package.json`,
  ]);
  for (const part of [...PACKED, ...parts]) {
    await cp(join(root, part), join(copy, part), { recursive: true });
  }
  const env = { ...process.env, ROUTY_BUILT: '1' };
  await run('npm', ['pack', '--workspace', '@routy/link', '--pack-destination', destination], {
    cwd: copy,
    env,
  });
  assert.deepEqual(await readdir(destination), [TARBALL]);
}

/** A block as it stands, but for the network, which tests do without where they can. */
async function shell(directory: string, block: string): Promise<void> {
  const quiet = { npm_config_audit: 'false', npm_config_fund: 'false' };
  const env = { ...process.env, ...quiet, npm_config_prefer_offline: 'true' };
  await run('bash', ['-euc', block], { cwd: directory, env });
}

async function treeOf(directory: string): Promise<string[]> {
  const { stdout } = await run('npm', ['ls', '--all', '--parseable'], { cwd: directory });
  const within = `${directory}/node_modules/`;
  return stdout
    .split('\n')
    .filter((line) => line.startsWith(within))
    .map((line) => line.slice(within.length).replace(/^@koromix\/.*/, '@koromix'))
    .sort();
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

test('the tutorial works in a project that has nothing but the library', async (t) => {
  const base = temporary(t);
  const project = join(base, 'project');
  await mkdir(project);
  await pack(join(base, 'copy'), project);
  const [install, certificates, ...commands] = await blocksOf('TUTORIAL.md', 'sh');
  await shell(project, install!);
  assert.deepEqual(await treeOf(project), TREE);
  await shell(project, certificates!);
  const [counter] = await blocksOf('TUTORIAL.md', 'js');
  await writeFile(join(project, 'counter.js'), counter!);

  // The other one dials through what can be cut.
  const port = await freePort();
  const cutter = await Cutter.start();
  cutter.leadTo(port);
  const places = [`127.0.0.1:${port}`, cutter.address];
  const [grayCommand, redCommand] = commands.map((command, i) => {
    assert.match(command, /^node counter\.js .* 127\.0\.0\.1:7443\n$/);
    return command.replace('127.0.0.1:7443', places[i]!).trim().split(' ').slice(1);
  });
  const start = ([script, ...args]: readonly string[]) =>
    new Program(script!, args, { directory: project });
  const gray = start(grayCommand!);
  await gray.hear(/^gray is up$/, { past: true });
  let red = start(redCommand!);
  t.after(async () => {
    await Promise.all([gray.kill(), red.kill()]);
    cutter.close();
  });
  const total = (count: number) =>
    Promise.all(
      [gray, red].map((each) => each.hear(new RegExp(`^total ${count}$`), { past: true })),
    );

  await Promise.all([
    gray.hear(/^red is there$/, { past: true }),
    red.hear(/^gray is there$/, { past: true }),
  ]);
  gray.say('');
  await total(1);
  red.say('');
  await total(2);

  cutter.cut();
  gray.say('');
  red.say('');
  await total(4);
  assert.ok(!red.lines.some((line) => line.includes('is away')), 'a cut is not told');

  await red.kill();
  gray.say('');
  await gray.hear(/^total 5$/, { past: true });
  red = start(redCommand!);
  await total(5);
  await red.kill();
});

test('the first program of the guide does what it says', async (t) => {
  const directory = temporary(t);
  await symlink(join(root, 'node_modules'), join(directory, 'node_modules'));
  const [, certificates] = await blocksOf('TUTORIAL.md', 'sh');
  await shell(directory, certificates!);
  const [program] = await blocksOf('LINK.md', 'ts');
  const port = await freePort();
  const begin = `
    import { readFileSync } from 'node:fs';
    const pem = (name) => readFileSync(name, 'utf8');
    const [redCredentials, grayCredentials] = ['red', 'gray'].map((site) => ({
      identity: { fabric: 'demo', site, node: site + '1' },
      certChainPem: pem(site + '.crt'), keyPem: pem(site + '.key'), caPem: pem('ca.crt'),
    }));
    const TEXT = {
      encode: (text) => Buffer.from(text), decode: (bytes) => Buffer.from(bytes).toString(),
    };`;
  const here = program!
    .replace("host: '0.0.0.0', port: 7443", `host: '127.0.0.1', port: ${port}`)
    .replace("host: 'gray.example', port: 7443", `host: '127.0.0.1', port: ${port}`);
  await writeFile(join(directory, 'guide.mjs'), `${begin}\n${here}\nawait gray.close();\n`);
  const { stdout } = await run(process.execPath, ['guide.mjs'], { cwd: directory });
  const [, said] = /console\.log\(.*\); \/\/ (.*)$/m.exec(program!)!;
  assert.equal(stdout.trim(), said);
});

test('what the library declares can be used under strict rules', async (t) => {
  const directory = temporary(t);
  const entries = Object.keys(
    JSON.parse(await readFile(join(root, 'packages/link/package.json'), 'utf8')).exports,
  );
  const imports = entries.map(
    (entry, i) => `import * as entry${i} from '@routy/link${entry.slice(1)}';\nvoid entry${i};\n`,
  );
  await writeFile(join(directory, 'use.ts'), imports.join(''));
  await writeFile(join(directory, 'package.json'), '{"type": "module"}');
  await symlink(join(root, 'node_modules'), join(directory, 'node_modules'));
  const compilerOptions = {
    ...{ target: 'es2022', module: 'nodenext', strict: true, skipLibCheck: false, noEmit: true },
    ...{ exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true, types: ['node'] },
  };
  const settings = { compilerOptions, files: ['use.ts'] };
  await writeFile(join(directory, 'tsconfig.json'), JSON.stringify(settings));
  const compiler = join(root, 'node_modules/typescript/bin/tsc');
  await run(process.execPath, [compiler, '-p', directory]).catch((error: { stdout: string }) =>
    assert.fail(error.stdout),
  );
});
