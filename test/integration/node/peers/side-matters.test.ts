import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { networkInterfaces } from 'node:os';
import { test } from 'node:test';
import { startSession } from '../../../../packages/link/src/driver/session-driver.ts';
import { parseTcpAddress } from '../../../../packages/proto/src/base/address.ts';
import { statusText } from '../../../../packages/routy/src/cli/text/status-text.ts';
import { FaultProxy } from '../../../support/faults/fault-proxy.ts';
import {
  credentials,
  forward,
  LabNode,
  LISTEN,
  peerTo,
  service,
} from '../../../support/nodes/node-lab.ts';
import { echo, serve, talk, until } from '../../../support/sockets/loopback.ts';

const LOOPBACK_6 = Object.values(networkInterfaces())
  .flat()
  .some((each) => each?.address === '::1');

async function occupy(): Promise<{ port: number; vacate: () => void }> {
  const thief = createServer();
  thief.listen(0, '127.0.0.1');
  await once(thief, 'listening');
  const { port } = thief.address() as { port: number };
  return { port, vacate: () => thief.close() };
}

test('a [listen] address that is taken keeps a node from nothing else, and is had later', async () => {
  const { port, vacate } = await occupy();
  const listen = `[listen]\naddress = "127.0.0.1:${port}"\n`;
  const gray = await LabNode.start(await credentials('gray'), listen);
  const before = gray.running.status();
  assert.equal(before.ready, false);
  assert.match(before.notReady.join(), /cannot listen on .* EADDRINUSE/);
  assert.match(before.listening?.error ?? '', /EADDRINUSE/);
  assert.match(gray.lines.find(({ event }) => event === 'node-up')?.msg ?? '', /NOT YET listening/);
  assert.ok(gray.events().includes('lanes-error'));
  vacate();
  await until('it listens', () => gray.running.status().ready);
  const red = await LabNode.start(await credentials('red'), peerTo(gray));
  await until('the session is up', () => red.peer()?.state === 'up');
  await Promise.all([red.stop(), gray.stop()]);
});

test('ready means that a peer is up, if any is known', async () => {
  const gray = await LabNode.start(await credentials('gray'), LISTEN);
  assert.equal(gray.running.status().ready, true);
  const red = await LabNode.start(await credentials('red'), peerTo(gray));
  await until('both are ready', () =>
    [red, gray].every((each) => each.peer()?.state === 'up' && each.running.status().ready),
  );
  await gray.stop();
  await until('red is not', () => !red.running.status().ready);
  assert.deepEqual(red.running.status().notReady, ['its peer is not up']);
  assert.equal(red.running.status().state, 'running');
  await red.stop();
});

test('what needs a restart is in the status until the file says again what is in force', async () => {
  const gray = await LabNode.start(await credentials('gray'), LISTEN);
  assert.deepEqual(gray.running.status().restartRequired, []);
  await gray.reload(`${LISTEN}[fabric]\nheartbeat_interval = "1s"\n`);
  assert.deepEqual(gray.running.status().restartRequired, ['fabric.heartbeat_interval']);
  await gray.reload(`${LISTEN}[fabric]\nheartbeat_interval = "1s"\n[log]\nlevel = "warn"\n`);
  assert.deepEqual(gray.running.status().restartRequired, ['fabric.heartbeat_interval']);
  await gray.reload(LISTEN);
  assert.deepEqual(gray.running.status().restartRequired, []);
  await gray.stop();
});

test('a path that falls silent is told long before it is given up', {
  timeout: 60_000,
}, async () => {
  const fabric = '[fabric]\nheartbeat_interval = "200ms"\nheartbeat_misses = 100\n';
  const gray = await LabNode.start(await credentials('gray'), LISTEN + fabric);
  const proxy = await FaultProxy.start({ target: parseTcpAddress(gray.lanes)! });
  const peer = `[[peer]]\naddress = "${proxy.host}:${proxy.port}"\nlanes = 1\n`;
  const red = await LabNode.start(await credentials('red'), peer + fabric);
  await until('the session is up', () => red.peer()?.session?.silent === false);
  proxy.setFaults('down', { stalled: true });
  await until('red is told', () => red.peer()?.session?.silent === true);
  const { state, session } = red.peer()!;
  assert.equal(state, 'up');
  assert.ok(session!.lastHeardMsAgo! > 200);
  assert.ok(session!.lanes[0]!.silent);
  assert.match(statusText(red.running.status(), Date.now()), /up \(SILENT\).*last heard .* ago/);
  proxy.setFaults('down', { stalled: false });
  await until('it is heard again', () => red.peer()?.session?.silent === false);
  await Promise.all([red.stop(), gray.stop()]);
  proxy.close();
});

test('a node that comes to its work late again and again says so', async () => {
  const gray = await LabNode.start(await credentials('gray'), LISTEN);
  const never = new Int32Array(new SharedArrayBuffer(4));
  const told = () => gray.running.status().troubles.some(({ what }) => what === 'event loop');
  for (let times = 0; times < 8 && !told(); times++) {
    // Nothing in this process gets a turn meanwhile.
    Atomics.wait(never, 0, 0, 1_400);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  assert.ok(told());
  const line = gray.lines.find(({ event }) => event === 'trouble');
  assert.equal(line?.code, 'event-loop-late');
  assert.match(String(line?.hint), /overloaded/);
  await gray.stop();
});

test('setting the clock back an hour moves no moment and no waiting time of the status', async (t) => {
  const gray = await LabNode.start(await credentials('gray'), LISTEN);
  const nobody = '[[peer]]\naddress = "127.0.0.1:1"\n';
  const red = await LabNode.start(await credentials('red'), peerTo(gray) + nobody);
  const waits = () => red.running.status().peers.map((peer) => peer.nextAttemptInMs ?? 0);
  await until(
    'one is up, one waits',
    () =>
      red.running.status().peers.some(({ state }) => state === 'up') && Math.max(...waits()) > 0,
  );
  const now = Date.now;
  t.mock.method(Date, 'now', () => now() - 3_600_000);
  const status = red.running.status();
  for (const since of [status.startedAt, ...status.peers.map((peer) => peer.since)]) {
    const agoMs = Date.now() - Date.parse(since!);
    assert.ok(agoMs > -1_000 && agoMs < 60_000, `${agoMs} ms ago`);
  }
  await until('it waits again', () => Math.max(...waits()) > 0);
  assert.ok(Math.max(...waits()) < 60_000);
  await Promise.all([red.stop(), gray.stop()]);
});

test('a peer whose clock differs is told of in the log', async () => {
  const gray = await LabNode.start(await credentials('gray'), LISTEN);
  const red = await LabNode.start(await credentials('red'), peerTo(gray), '3s', (...made) => {
    const driver = startSession(...made);
    const stats = driver.stats.bind(driver);
    driver.stats = () => ({ ...stats(), clockOffsetMs: -60_000 });
    return driver;
  });
  const line = () => red.lines.find(({ event }) => event === 'clocks-differ');
  await until('it is told', () => line() !== undefined);
  assert.match(line()!.msg, /the clock of gray\/gray1 is 60\.0 s behind that of this node/);
  await Promise.all([red.stop(), gray.stop()]);
});

test('localhost is every loopback address: [listen] and a forward', {
  skip: !LOOPBACK_6,
}, async () => {
  const target = await serve(echo);
  const gray = await LabNode.start(
    await credentials('gray'),
    `[listen]\naddress = "localhost:0"\n${service('db', `127.0.0.1:${target.port}`, 'red')}`,
  );
  const { port: lanePort } = parseTcpAddress(gray.lanes)!;
  for (const host of ['127.0.0.1', '[::1]']) {
    const red = await LabNode.start(
      await credentials('red'),
      `[[peer]]\naddress = "${host}:${lanePort}"\n${forward('localhost:0', 'gray/db')}`,
    );
    const address = await red.reach('gray/db');
    assert.ok(address.kind === 'tcp' && address.port > 0);
    for (const way of ['127.0.0.1', '::1']) {
      const { data } = await talk({ ...address, host: way }, 'hello');
      assert.equal(data.toString(), 'hello', `by ${way}`);
    }
    await red.stop();
  }
  await gray.stop();
  await target.close();
});

const LINK_LOCAL = Object.entries(networkInterfaces()).flatMap(([name, addresses = []]) =>
  addresses
    .filter(({ family, address }) => family === 'IPv6' && address.startsWith('fe80:'))
    .map(({ address }) => `${address.split('%')[0]}%${name}`),
)[0];

test('link-local addresses with their interface: [listen], [[peer]], a target and a forward', {
  skip: LINK_LOCAL === undefined,
}, async () => {
  const host = LINK_LOCAL!;
  const target = await serve(echo, { host });
  const gray = await LabNode.start(
    await credentials('gray'),
    `[listen]\naddress = "[${host}]:0"\n${service('db', `[${host}]:${target.port}`, 'red')}`,
  );
  const red = await LabNode.start(
    await credentials('red'),
    peerTo(gray) + forward(`[${host}]:0`, 'gray/db'),
  );
  const { data } = await talk(await red.reach('gray/db'), 'hello');
  assert.equal(data.toString(), 'hello');
  await Promise.all([red.stop(), gray.stop()]);
  await target.close();
});
