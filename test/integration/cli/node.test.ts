import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import type { PingReply, ReloadReport } from '../../../packages/routy/src/status/status.ts';
import { echoed, startPair } from './cli-pair.ts';
import {
  cli,
  cliJson,
  cliOk,
  echoServer,
  Home,
  Running,
  scratch,
  untilStatus,
} from '../../support/nodes/cli-support.ts';

test('two commands a side: bytes flow, and the commands show and steer it', async (t) => {
  const { gray, red, grayUp, redUp, socket } = await startPair(t);
  assert.equal(await echoed(socket, 'over the wall'), 'over the wall');

  await t.test('status is evidence on both sides', async () => {
    const status = await untilStatus(red, ({ services }) => services[0]?.last?.ok === true);
    assert.equal(status.peers[0]?.name, 'gray/gray1');
    assert.equal(status.peers[0]?.state, 'up');
    assert.match(await cliOk('status', ...gray.at), /red\/red1 +up[\s\S]*-> red\/echo +listening/);
  });

  await t.test('ping measures', async () => {
    const replies = await cliJson<PingReply[]>('ping', 'gray', '--count', '2', ...red.at);
    assert.deepEqual(
      replies.map(({ peer, sequence }) => [peer, sequence]),
      [
        ['gray/gray1', 1],
        ['gray/gray1', 2],
      ],
    );
    assert.ok(replies.every(({ rttMs }) => rttMs > 0 && rttMs < 10_000));
    const nobody = await cli('ping', 'blue', ...red.at);
    assert.equal(nobody.code, 1);
    assert.match(nobody.stderr, /no session to blue/);
  });

  await t.test('a service and a forward come and go while the node runs', async () => {
    const other = `${socket}.2`;
    const target = await echoServer(t);
    await cliOk('service', 'add', 'other', target, '--allow', 'gray', ...red.at);
    await cliOk('forward', 'add', `unix:${other}`, 'red/other', ...gray.at);
    await untilStatus(gray, ({ forwards }) => forwards[1]?.state === 'listening');
    assert.equal(await echoed(other, 'second'), 'second');
    await cliOk('forward', 'rm', `unix:${other}`, ...gray.at);
    assert.equal((await untilStatus(gray, () => true)).forwards.length, 1);
  });

  await t.test('a broken file is refused as a whole and the node goes on', async () => {
    const good = readFileSync(gray.config, 'utf8');
    writeFileSync(gray.config, `${good}\n[service.x]\ntagret = "127.0.0.1:1"\n`);
    const { code, stderr } = await cli('reload', '--state', gray.state);
    assert.equal(code, 1);
    assert.match(stderr, /did you mean "target"/);
    grayUp.signal('SIGHUP');
    await grayUp.printed(/"event":"reload-refused"/);
    writeFileSync(gray.config, good);
    const report = await cliJson<ReloadReport>('reload', ...gray.at);
    assert.deepEqual(report.applied, true);
    assert.equal(await echoed(socket, 'still there'), 'still there');
  });

  await t.test('the log level changes while running', async () => {
    assert.equal(await cliOk('log-level', ...gray.at), 'info\n');
    await cliOk('log-level', 'debug', ...gray.at);
    assert.equal(await cliOk('log-level', ...gray.at), 'debug\n');
  });

  await t.test('a second node in the same place is refused', async () => {
    const { code, stderr } = await cli('up', ...gray.at);
    assert.equal(code, 1);
    assert.match(stderr, /another node already runs here/);
  });

  await t.test('drain and SIGTERM end it in order', async () => {
    await cliOk('drain', ...gray.at);
    assert.equal((await untilStatus(gray, () => true)).state, 'draining');
    assert.equal(await redUp.stop(), 0);
    assert.equal(await grayUp.stop(), 0);
    assert.equal(existsSync(join(gray.state, 'admin.sock')), false);
  });
  assert.doesNotMatch(grayUp.output + redUp.output, /internal-error/);
});

test('the CA dials: a newcomer awaits adoption and starts again from its files', async (t) => {
  const directory = scratch(t);
  const gray = new Home(directory, 'gray');
  const red = new Home(directory, 'red');
  const socket = join(directory, 'echo.sock');
  const again = [
    ...['up', '--await-adoption', '--listen', '127.0.0.1:0', '--node', 'gray1', ...gray.made],
    ...['--service', `echo=${await echoServer(t)}`, '--allow', 'red'],
  ];
  const grayUp = new Running(t, ...again);
  const [, text] = await grayUp.printed(/routy adopt '([^']+)'/);
  await cliOk('init', '--site', 'red', '--forward', `unix:${socket}=gray/echo`, ...red.made);
  const stranger = await cli(
    'adopt',
    text!.slice(0, -22) + 'A'.repeat(22),
    '--site',
    'gray',
    ...red.at,
  );
  assert.equal(stranger.code, 1);
  assert.match(stranger.stderr, /secret/);
  await grayUp.printed(/still waiting/);

  const redUp = new Running(t, 'adopt', text!, '--site', 'gray', '--up', ...red.at);
  await redUp.printed(/"event":"forward-listening"/);
  assert.equal(await echoed(socket, 'into the DMZ'), 'into the DMZ');
  assert.match(readFileSync(gray.config, 'utf8'), /name = "gray1"\nsite = "gray"/);
  assert.match(readFileSync(red.config, 'utf8'), /\[\[peer\]\]\naddress = "127\.0\.0\.1:\d+"/);

  assert.equal(await grayUp.stop(), 0);
  const grayAgain = new Running(t, ...again);
  await grayAgain.printed(/"event":"session-up"/);
  assert.equal(await redUp.stop(), 0);
  assert.equal(await grayAgain.stop(), 0);
});

test('a second signal does not wait for streams', async (t) => {
  const { gray, grayUp, redUp, socket } = await startPair(t);
  const held = createConnection(socket);
  held.on('error', () => {});
  t.after(() => held.destroy());
  await untilStatus(gray, ({ forwards }) => forwards[0]?.streams === 1);
  grayUp.signal('SIGTERM');
  await grayUp.printed(/"event":"drain"/);
  assert.equal(await grayUp.stop('SIGTERM'), 1);
  assert.equal(await redUp.stop(), 0);
});

test('a configuration that belongs to another certificate is refused before anything starts', async (t) => {
  const home = new Home(scratch(t), 'gray');
  await cliOk('init', '--site', 'gray', '--listen', '127.0.0.1:7443', ...home.made);
  const text = readFileSync(home.config, 'utf8');
  writeFileSync(home.config, text.replace('site = "gray"', 'site = "grey"'));
  const { code, stderr } = await cli('up', ...home.at);
  assert.equal(code, 1);
  assert.match(stderr, /certificate .* is for gray\/\S+, but \[node\] says grey\//);
  const checked = await cli('check', ...home.at);
  assert.equal(checked.code, 1);
  assert.match(checked.stdout, /is for gray/);
});
