import assert from 'node:assert/strict';
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { createConnection, createServer } from 'node:net';
import { type TestContext, test } from 'node:test';
import type { DrainReport, UndrainReport } from '../../../packages/routy/src/status/status.ts';
import { echoed, startPair } from './cli-pair.ts';
import {
  cli,
  cliJson,
  cliOk,
  Home,
  Running,
  scratch,
  shell,
  untilStatus,
} from '../../support/nodes/cli-support.ts';

test('drain says what is still open, waits when told, and can be taken back', async (t) => {
  const { gray, red, grayUp, redUp, socket } = await startPair(t);
  const held = createConnection(socket);
  held.on('error', () => {});
  t.after(() => held.destroy());
  await untilStatus(red, ({ services }) => services[0]?.streams === 1);
  const config = readFileSync(red.config, 'utf8');
  writeFileSync(red.config, config.replace('[node]\n', '[node]\ndrain_timeout = "100ms"\n'));
  await cliOk('reload', ...red.at);

  const early = await cli('drain', '--json', ...red.at);
  assert.equal(early.code, 1);
  assert.deepEqual(JSON.parse(early.stdout), { drained: false, streams: 1 } satisfies DrainReport);
  assert.match((await cli('drain', ...red.at)).stdout, /NOT drained: 1 stream still open/);

  const undrained = await cliJson<UndrainReport>('undrain', ...red.at);
  assert.deepEqual(undrained, { undrained: true, sessionsWaiting: 1 });
  held.destroy();
  await untilStatus(gray, ({ forwards }) => forwards[0]?.state === 'listening');
  assert.equal(await echoed(socket, 'again'), 'again');
  assert.equal((await untilStatus(red, () => true)).state, 'running');
  const nothing = await cliJson<UndrainReport>('undrain', ...red.at);
  assert.equal(nothing.undrained, false);

  const second = createConnection(socket);
  second.on('error', () => {});
  t.after(() => second.destroy());
  await untilStatus(red, ({ services }) => services[0]?.streams === 1);
  const waiting = new Running(t, 'drain', '--wait', ...red.at);
  await untilStatus(red, ({ state }) => state === 'draining');
  second.destroy();
  assert.equal(await waiting.exited(), 0);
  assert.match(waiting.output, /drained: the node takes no new streams, none is open/);
  // Nothing is open, so the session is begun anew at once; the other side drains this time.
  const atOnce = await cliJson<UndrainReport>('undrain', ...red.at);
  assert.deepEqual(atOnce, { undrained: true, sessionsWaiting: 0 });
  await untilStatus(gray, ({ forwards }) => forwards[0]?.state === 'listening');
  await cliOk('drain', ...gray.at);
  await cliOk('undrain', ...gray.at);
  await untilStatus(gray, ({ forwards }) => forwards[0]?.state === 'listening');
  assert.equal(await echoed(socket, 'and again'), 'and again');
  assert.equal(await redUp.stop(), 0);
  assert.equal(await grayUp.stop(), 0);
});

test('a forward on a taken port is not said to be there', async (t) => {
  const { gray } = await startPair(t);
  const taken = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => taken.once('listening', resolve));
  t.after(() => taken.close());
  const { port } = taken.address() as { port: number };
  const { code, stdout } = await cli('forward', 'add', `127.0.0.1:${port}`, 'red/echo', ...gray.at);
  assert.equal(code, 1);
  assert.match(stdout, /does NOT listen: .*EADDRINUSE/);
  const nobody = await cli('forward', 'add', '127.0.0.1:1', 'blue/echo', ...gray.at);
  assert.equal(nobody.code, 0);
  assert.match(nobody.stdout, /does NOT listen yet: .*blue/);
});

async function aloneNode(t: TestContext, ...args: readonly string[]): Promise<Home> {
  const home = new Home(scratch(t), 'gray');
  await cliOk('init', '--site', 'gray', '--listen', '127.0.0.1:0', ...args, ...home.made);
  return home;
}

test('commands to the running node need only its state directory of the file', async (t) => {
  const home = await aloneNode(t);
  const node = new Running(t, 'up', ...home.at);
  await node.printed(/"event":"node-up"/);
  const good = readFileSync(home.config, 'utf8');
  const broken = [
    `${good}\n[broken\n`,
    `[[forward]]\nlisten = \n${good}`,
    good.replace('name = ', 'nmae = '),
    `${good}\n[log]\nlevel = "loud"\n`,
  ];
  for (const text of broken) {
    writeFileSync(home.config, text);
    assert.match(await cliOk('status', ...home.at), /certificate/);
    assert.equal(await cliOk('log-level', ...home.at), 'info\n');
    assert.match((await cli('ping', 'red', ...home.at)).stderr, /no session to red/);
    // It reads the file, so it says what is wrong with it.
    assert.match((await cli('reload', ...home.at)).stderr, /error: /);
  }
  await cliOk('drain', ...home.at);
  await cliOk('undrain', ...home.at);
  writeFileSync(home.config, '[node]\n[broken\n');
  assert.match((await cli('status', ...home.at)).stderr, /syntax error/);
  assert.equal(await node.stop(), 0);
});

test('a node whose peers are all down runs, and is not ready', async (t) => {
  const home = await aloneNode(t);
  const alone = new Running(t, 'up', ...home.at);
  await alone.printed(/"event":"node-up"/);
  assert.equal(await cliOk('status', '--ready', ...home.at), 'ready\n');
  assert.equal(await alone.stop(), 0);

  appendFileSync(home.config, '\n[[peer]]\naddress = "127.0.0.1:1"\n');
  const node = new Running(t, 'up', ...home.at);
  await node.printed(/"event":"node-up"/);
  const { code, stdout } = await cli('status', '--ready', ...home.at);
  assert.equal(code, 1);
  assert.match(stdout, /^not ready: its peer is not up/);
  const asked = await cli('status', '--ready', '--json', ...home.at);
  assert.deepEqual([asked.code, JSON.parse(asked.stdout).ready], [1, false]);
  assert.match(await cliOk('status', ...home.at), /NOT READY: its peer is not up/);
  assert.equal(await node.stop(), 0);
});

test('where others dial a node is remembered for later invites', async (t) => {
  const home = await aloneNode(t, '--advertise', 'gray.example:7443', '--advertise', '192.0.2.1:1');
  const { addresses } = await cliJson<{ addresses: string[] }>('invite', 'red', ...home.at);
  assert.deepEqual(addresses, ['gray.example:7443', '192.0.2.1:1']);
  const given = ['--address', '127.0.0.1:2'];
  const other = await cliJson<{ addresses: string[] }>('invite', 'red', ...given, ...home.at);
  assert.deepEqual(other.addresses, ['127.0.0.1:2']);
});

test('join and adopt read their secret from standard input', async (t) => {
  const home = await aloneNode(t);
  const args = ['invite', 'red', '--address', '127.0.0.1:1', ...home.at];
  const { joinLine } = await cliJson<{ joinLine: string }>(...args);
  const red = new Home(scratch(t), 'red');
  const place = `--config ${red.config} --state ${red.state}`;
  const joined = await shell(`echo '${joinLine}' | node "$ROUTY" join - --node red1 ${place}`);
  // Read and understood: only nobody listens there.
  assert.match(joined.stderr, /127\.0\.0\.1:1/);
  const adopted = await shell(
    `echo 'x#y' | node "$ROUTY" adopt - --site red --config ${home.config}`,
  );
  assert.match(adopted.stderr, /routy: .*PIN/);
  const empty = await shell(`node "$ROUTY" join - ${place} < /dev/null`);
  assert.equal(empty.code, 2);
  assert.match(empty.stderr, /nothing on standard input/);
});

test('no error about the file repeats the password of a proxy', async (t) => {
  const home = await aloneNode(t);
  const good = readFileSync(home.config, 'utf8');
  const peer = '\n[[peer]]\naddress = "127.0.0.1:1"\n';
  for (const line of [
    'via = "htp://user:s3cret@proxy:1"',
    'via = "http://user:s3@cret@proxy"',
    'via = "http://user:s3cret"',
    "via = 'user:s3cret@proxy:1'",
    'via = "http://user:s3cret@proxy:1',
    'via = ["http://user:s3cret@proxy:1"]',
    'vai = "http://user:s3cret@proxy:1"',
    'via = "http://user:s3/cret#@proxy:1"',
  ]) {
    writeFileSync(home.config, good);
    appendFileSync(home.config, `${peer}${line}\n`);
    for (const command of [['check'], ['check', '--json'], ['up'], ['forward', 'rm', 'unix:/x']]) {
      const { code, stdout, stderr } = await cli(...command, ...home.at);
      assert.equal(code, 1, line);
      assert.doesNotMatch(stdout + stderr, /s3|cret/, line);
    }
  }
});
