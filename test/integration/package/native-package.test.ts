import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { testCa, testCredentials } from '../../support/certificates.ts';
import { temporary } from '../../support/example-programs.ts';
import { codeBlocks, documentText } from './markdown.ts';
import { planeMissing } from '../../support/linux/native-plane.ts';
import { NPM_ENV, packed } from './packed.ts';

const run = promisify(execFile);

/** Behind the program of the guide, which makes the link of red: it asks a portable one. */
const ASKING = `
import assert from 'node:assert/strict';
assert.equal(native.missing, undefined);
const gray = createLink({ credentials: JSON.parse(process.argv[3]) });
const BYTES = { encode: (bytes) => bytes, decode: (bytes) => bytes };
gray.protocol({
  name: 'echo',
  accept: async (stream) => {
    const messages = stream.messages({ codecs: { 1: BYTES } });
    for await (const message of messages) await messages.send(message);
    messages.end();
  },
});
const { address } = await gray.listen({
  transport: 'tls',
  address: { kind: 'tcp', host: '127.0.0.1', port: 0 },
});
const peer = link.dial({ transport: 'tls', address });
const messages = (await peer.open({ protocol: 'echo' })).messages({ codecs: { 1: BYTES } });
await messages.send(Buffer.alloc(300_000, 'native'));
messages.end();
const { value } = await messages.receive();
await link.close();
await gray.close();
native.close();
console.log(Buffer.from(value).equals(Buffer.alloc(300_000, 'native')));
`;

test('the two packed files are all that a link on the native transport needs, as the guide shows it', {
  timeout: 120_000,
  skip: planeMissing,
}, async (t) => {
  const base = temporary(t);
  const files: string[] = [];
  for (const [name, packages] of [
    ['link', ['proto', 'link']],
    ['linux', ['proto', 'linux']],
  ] as const) {
    const own = join(base, name);
    await mkdir(own);
    files.push(await packed(`@routy/${name}`, packages, own));
  }
  const project = join(base, 'project');
  await mkdir(project);
  await writeFile(join(project, 'package.json'), '{"private": true, "type": "module"}');
  await run('npm', ['install', ...files], { cwd: project, env: NPM_ENV });
  const shown = codeBlocks(documentText('docs/LINK.md')).find(({ name }) => name === 'native')!;
  const given = 'const credentials = JSON.parse(process.argv[2]);';
  await writeFile(join(project, 'program.mjs'), `${given}\n${shown.text}\n${ASKING}`);
  const ca = await testCa();
  const [red, gray] = await Promise.all(
    ['red', 'gray'].map(async (site) => JSON.stringify(await testCredentials(ca, { site }))),
  );
  const args = ['program.mjs', red!, gray!];
  // Ends by itself: nothing of the transport keeps the process.
  const { stdout, stderr } = await run(process.execPath, args, { cwd: project });
  assert.deepEqual([stdout.trim(), stderr], ['true', '']);
});
