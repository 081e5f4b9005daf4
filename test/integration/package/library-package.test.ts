import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { freePort } from '../../../bench/processes.ts';
import { compiledBlocks, mentionsOf } from './document-code.ts';
import { temporary } from '../../support/example-programs.ts';
import { codeBlocks, documentText } from './markdown.ts';
import { NPM_ENV, packed } from './packed.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const run = promisify(execFile);

/** All that comes with the library; koffi is optional, and prebuilt for each system. */
const TREE = [
  ...['@koromix/koffi', '@routy/link', '@routy/link/node_modules/@routy/proto', 'ip-address'],
  ...['koffi', 'smart-buffer', 'socks'],
];

const STRICT = {
  ...{ target: 'es2022', module: 'nodenext', strict: true, skipLibCheck: false, noEmit: true },
  ...{ exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true },
  ...{ verbatimModuleSyntax: true, noUnusedLocals: false },
  ...{ types: ['node'], typeRoots: [join(root, 'node_modules/@types')] },
};

/** The documents that show TypeScript of the library. */
const DOCUMENTS = ['README.md', 'CONTRIBUTING.md', 'docs/LINK.md'];

/** What the first program of the guide takes for granted, as the sections behind it say. */
const GUIDE_BEGIN = `
  import { readFileSync } from 'node:fs';
  const pem = (name) => readFileSync(name, 'utf8');
  const [redCredentials, grayCredentials] = ['red', 'gray'].map((site) => ({
    identity: { fabric: 'demo', site, node: site + '1' },
    certChainPem: pem(site + '.crt'), keyPem: pem(site + '.key'), caPem: pem('ca.crt'),
  }));
  const TEXT = {
    encode: (text) => Buffer.from(text), decode: (bytes) => Buffer.from(bytes).toString(),
  };`;

const base = temporary({ after: (end) => process.once('exit', end) });
/** A project that has nothing but the library's one file. */
const project = join(base, 'project');

before(async () => {
  const file = await packed('@routy/link', ['proto', 'link'], base);
  await mkdir(project);
  await writeFile(join(project, 'package.json'), '{"private": true, "type": "module"}');
  await run('npm', ['install', file], { cwd: project, env: NPM_ENV });
});

/** Whoever wants metrics has prom-client, which the library does not bring along. */
const WITH_PROM_CLIENT = {
  paths: { 'prom-client': [join(root, 'node_modules/prom-client/index.d.ts')] },
};

/** Fails with what the compiler says of the files. */
async function compile(texts: ReadonlyMap<string, string>, more: object = {}): Promise<void> {
  for (const [name, text] of texts) await writeFile(join(project, name), text);
  const settings = { compilerOptions: { ...STRICT, ...more }, files: [...texts.keys()] };
  await writeFile(join(project, 'tsconfig.json'), JSON.stringify(settings));
  const compiler = join(root, 'node_modules/typescript/bin/tsc');
  await run(process.execPath, [compiler, '-p', project]).catch((error: { stdout: string }) =>
    assert.fail(error.stdout),
  );
}

async function entriesOfLibrary(): Promise<string[]> {
  const manifest = join(project, 'node_modules/@routy/link/package.json');
  const { exports } = JSON.parse(await readFile(manifest, 'utf8')) as { exports: object };
  return Object.keys(exports).map((entry) => `@routy/link${entry.slice(1)}`);
}

test('the library brings along what it needs and nothing of the daemon', async () => {
  const { stdout } = await run('npm', ['ls', '--all', '--parseable'], { cwd: project });
  const within = `${project}/node_modules/`;
  const tree = stdout
    .split('\n')
    .filter((line) => line.startsWith(within))
    .map((line) => line.slice(within.length).replace(/^(@koromix\/koffi)-.*/, '$1'));
  assert.deepEqual(tree.sort(), TREE);
});

test('all of its entries but that for prom-client load without another package', async () => {
  const entries = (await entriesOfLibrary()).filter((entry) => !entry.endsWith('/prometheus'));
  assert.ok(entries.length > 5);
  const loading = entries.map((entry) => `await import('${entry}');`).join('\n');
  await run(process.execPath, ['--input-type=module', '--eval', loading], { cwd: project });
});

test('the first program of the guide does what it says', async () => {
  const guide = codeBlocks(documentText('docs/LINK.md'));
  const certificates = guide.find(({ language }) => language === 'sh')!;
  await run('bash', ['-euc', certificates.text], { cwd: project });
  const { text } = guide.find(({ language }) => language === 'ts')!;
  const [, said] = /console\.log\(.*\); \/\/ (.*)$/m.exec(text)!;
  const port = await freePort();
  const here = text.replaceAll(
    /host: '(?:0\.0\.0\.0|gray\.example)', port: 7443/g,
    `host: '127.0.0.1', port: ${port}`,
  );
  await writeFile(join(project, 'guide.mjs'), `${GUIDE_BEGIN}\n${here}\nawait gray.close();\n`);
  const { stdout } = await run(process.execPath, ['guide.mjs'], { cwd: project });
  assert.equal(stdout.trim(), said);
});

test('the network in memory does what the guide shows', async () => {
  const { text } = codeBlocks(documentText('docs/LINK.md')).find((block) =>
    block.text.includes('memoryNetwork()'),
  )!;
  await writeFile(join(project, 'memory.mjs'), text.replace('(site: string)', '(site)'));
  await run(process.execPath, ['memory.mjs'], { cwd: project });
});

test('its source maps have the sources with them', async () => {
  const library = join(project, 'node_modules/@routy/link/dist');
  const names = await readdir(library, { recursive: true });
  const maps = names.filter((name) => name.endsWith('.js.map'));
  assert.ok(maps.length > 50, `only ${maps.length}`);
  for (const name of maps) {
    const map = JSON.parse(await readFile(join(library, name), 'utf8')) as object;
    assert.ok('sourcesContent' in map, name);
  }
});

test('what it declares can be used under strict rules', async () => {
  const uses = (entries: readonly string[]) =>
    entries.map((entry, i) => `import * as entry${i} from '${entry}';\nvoid entry${i};\n`).join('');
  const entries = await entriesOfLibrary();
  const plain = entries.filter((entry) => !entry.endsWith('/prometheus'));
  await compile(new Map([['plain.ts', uses(plain)]]));
  await compile(new Map([['all.ts', uses(entries)]]), WITH_PROM_CLIENT);
});

test('the TypeScript of the documents compiles against it', async () => {
  const blocks = DOCUMENTS.flatMap((document) => {
    const found = compiledBlocks(documentText(document));
    assert.ok(found.length > 0, `${document} has no TypeScript`);
    return found.map((text, i) => [`${document.replace(/\W/g, '-')}-${i}.ts`, text] as const);
  });
  await compile(new Map(blocks), WITH_PROM_CLIENT);
});

test('what the documents say of it by name is there', async () => {
  const texts = DOCUMENTS.map((document) => mentionsOf(documentText(document)));
  assert.ok(texts.join('').split('\n').length > 30, 'too little was found');
  await compile(new Map(texts.map((text, i) => [`mentions-${i}.ts`, text])), WITH_PROM_CLIENT);
});
