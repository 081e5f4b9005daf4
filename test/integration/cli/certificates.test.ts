import assert from 'node:assert/strict';
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { createConnection, type Socket } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { initFabric } from '../../../packages/routy/src/pki/node/init.ts';
import { startPair } from './cli-pair.ts';
import {
  cli,
  cliJson,
  cliOk,
  Home,
  Running,
  scratch,
  untilStatus,
} from '../../support/nodes/cli-support.ts';

const DAY_MS = 86_400_000;

interface Shown {
  readonly serial: string;
  readonly keyPin: string;
}

const shown = (home: Home): Promise<Shown> => cliJson<Shown>('cert', 'show', ...home.at);

/** A connection that can be asked whether it still works. */
async function openEcho(t: TestContext, path: string): Promise<(line: string) => Promise<string>> {
  const socket: Socket = createConnection(path);
  t.after(() => socket.destroy());
  const failed = new Promise<never>((_, reject) => {
    socket.on('error', reject);
    socket.on('close', () => reject(new Error('the connection was closed')));
  });
  failed.catch(() => undefined);
  return (line) => {
    const answer = new Promise<string>((resolve) => {
      socket.once('data', (chunk) => resolve(chunk.toString()));
    });
    socket.write(line);
    return Promise.race([answer, failed]);
  };
}

test('both nodes renew while a connection goes on, with the old key and with a new one', async (t) => {
  const { gray, red, grayUp, redUp, socket } = await startPair(t);
  const ask = await openEcho(t, socket);
  assert.equal(await ask('before'), 'before');
  const configBefore = readFileSync(red.config, 'utf8');

  for (const [home, node] of [
    [gray, 'gray/gray1'],
    [red, 'red/red1'],
  ] as const) {
    for (const flags of [[], ['--new-key']]) {
      const before = await shown(home);
      const text = await cliOk('cert', 'renew', ...flags, ...home.at);
      assert.match(text, new RegExp(`${node} until[\\s\\S]*running node has taken it up`));
      const after = await shown(home);
      assert.notEqual(after.serial, before.serial);
      assert.equal(after.keyPin === before.keyPin, flags.length === 0);
      assert.equal(await ask(node), node);
    }
  }
  assert.equal(readFileSync(red.config, 'utf8'), configBefore);
  const [peer] = (await untilStatus(red, () => true)).peers;
  assert.equal(peer?.session?.lanes[0]?.epoch, 1, 'the first lane still carries the session');

  await t.test('lanes that come from now on show the new certificates', async () => {
    assert.equal(await redUp.stop(), 0);
    const again = new Running(t, 'up', ...red.at);
    await again.printed(/"event":"session-up"/);
    assert.equal(await again.stop(), 0);
  });
  assert.equal(await grayUp.stop(), 0);
  assert.doesNotMatch(grayUp.output + redUp.output, /internal-error/);
});

/** A node whose certificate ended a while ago, with a forward so that the file is worth something. */
async function endedNode(t: TestContext, daysAgo: number): Promise<Home> {
  const home = new Home(scratch(t), 'gray');
  await initFabric({
    stateDir: home.state,
    site: 'gray',
    node: 'gray1',
    now: () => Date.now() - (365 + daysAgo) * DAY_MS,
  });
  writeFileSync(
    home.config,
    `[node]
name = "gray1"
site = "gray"
state = "${home.state}"

[listen]
address = "127.0.0.1:0"
`,
  );
  return home;
}

test("an ended certificate does not keep the CA's node from starting, and is renewed as it runs", async (t) => {
  const home = await endedNode(t, 50);
  const node = new Running(t, 'up', ...home.at);
  await node.printed(/"level":"error"[^\n]*"event":"certificate-ended"[^\n]*routy cert renew/);
  await node.printed(/"event":"node-up"/);
  const before = await untilStatus(home, () => true);
  assert.match(before.certificateWarning ?? '', /ended at/);
  assert.match(await cliOk('status', ...home.at), /EXPIRED[\s\S]*routy cert renew/);
  const checked = await cli('check', ...home.at);
  assert.equal(checked.code, 1);
  assert.match(checked.stdout, /routy cert renew/);
  await cliOk('cert', 'renew', ...home.at);
  const after = await untilStatus(home, () => true);
  assert.equal(after.certificateWarning, null);
  assert.ok(Date.parse(after.certificateExpiresAt) > Date.now() + 300 * DAY_MS);
  assert.equal((await cli('check', ...home.at)).code, 0);
  assert.equal(await node.stop(), 0);
});

test('a certificate is spoken of in log and status from 30 days before its end on, louder from 7', async (t) => {
  for (const [daysLeft, level] of [
    [31.5, undefined],
    [29, 'warn'],
    [8, 'warn'],
    [6, 'error'],
  ] as const) {
    const home = await endedNode(t, -daysLeft);
    const node = new Running(t, 'up', ...home.at);
    await node.printed(/"event":"node-up"/);
    const { certificateWarning } = await untilStatus(home, () => true);
    if (level === undefined) assert.equal(certificateWarning, null);
    else {
      assert.match(certificateWarning ?? '', /ends in \d+ days/);
      await node.printed(new RegExp(`"level":"${level}"[^\\n]*"event":"certificate-ends"`));
    }
    assert.equal(await node.stop(), 0);
    assert.equal(node.output.includes('certificate-ends'), level !== undefined);
  }
});

test('a node that cannot dial the CA is told the three commands, and they do', async (t) => {
  const directory = scratch(t);
  const [gray, red] = [new Home(directory, 'gray'), new Home(directory, 'red')];
  await cliOk('init', '--site', 'gray', '--node', 'gray1', ...gray.made);
  const [csr, crt] = [join(directory, 'red1.csr'), join(directory, 'red1.crt')];
  const place = ['--state', red.state];
  await cliOk('cert', 'request', '--site', 'red', '--node', 'red1', '--out', csr, ...place);
  await cliOk('cert', 'issue', '--csr', csr, '--out', crt, ...gray.at);
  await cliOk('cert', 'install', crt, ...place);
  writeFileSync(
    red.config,
    `[node]
name = "red1"
site = "red"
state = "${red.state}"

[listen]
address = "127.0.0.1:0"
`,
  );
  const { code, stderr } = await cli('cert', 'renew', ...red.at);
  assert.equal(code, 1);
  assert.match(stderr, /cert request --out[\s\S]*cert issue --csr[\s\S]*cert install/);
  const before = await cliJson<Shown>('cert', 'show', ...red.at);
  await cliOk('cert', 'request', '--out', csr, ...red.at);
  await cliOk('cert', 'issue', '--csr', csr, '--out', crt, ...gray.at);
  await cliOk('cert', 'install', crt, ...red.at);
  const after = await cliJson<Shown>('cert', 'show', ...red.at);
  assert.notEqual(after.serial, before.serial);
  assert.equal(after.keyPin, before.keyPin);
  // The file may be broken: only the state directory is taken from it.
  appendFileSync(gray.config, '\n[broken\n');
  await cliOk('cert', 'renew', ...gray.at);
});
