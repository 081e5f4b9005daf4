import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatAddress } from '../../../packages/proto/src/base/address.ts';
import { credentials, forward, LabNode, LISTEN, service } from '../../support/nodes/node-lab.ts';
import { dial, echo, hear, serve, until } from '../../support/sockets/loopback.ts';

const ANY = '127.0.0.1:0';

function listenOn(address: string): string {
  return `[listen]\naddress = "${address}"\n`;
}

function peerAt(...addresses: string[]): string {
  return `[[peer]]\naddresses = ${JSON.stringify(addresses)}\n`;
}

/** Red dials gray and forwards to `gray/db`, an echo server, with one stream that is open. */
async function startPair() {
  const target = await serve(echo);
  const grayService = service('db', formatAddress(target.address), 'red');
  const gray = await LabNode.start(await credentials('gray'), LISTEN + grayService);
  const red = await LabNode.start(
    await credentials('red'),
    peerAt(gray.lanes) + forward(ANY, 'gray/db'),
  );
  const client = dial(await red.reach('gray/db'));
  let text = '';
  let ended = false;
  client.on('data', (data) => {
    text += String(data);
  });
  client.on('error', () => undefined);
  client.on('close', () => {
    ended = true;
  });
  /** Bytes go both ways over the one stream. */
  const say = async (words: string) => {
    client.write(words);
    await until(`the echo of ${words}`, () => text.endsWith(words) || ended);
    assert.equal(ended, false, 'the stream was lost');
  };
  await say('first');
  const sessionId = () => gray.peer('red/red1')?.session?.id;
  const stop = async () => {
    client.destroy();
    await Promise.all([red.stop(), gray.stop()]);
    await target.close();
  };
  return { gray, grayService, red, say, sessionId, stop };
}

async function isRefused(address: string): Promise<boolean> {
  const [host, port] = address.split(':') as [string, string];
  const { error } = await hear({ kind: 'tcp', host, port: Number(port) });
  return error === 'ECONNREFUSED';
}

test('a reload moves the address for lanes; sessions and streams go on', async () => {
  const pair = await startPair();
  const { gray, grayService, say, sessionId } = pair;
  const [former, session] = [gray.lanes, sessionId()];
  const report = await gray.reload(listenOn('127.0.0.2:0') + grayService);
  assert.deepEqual(report, {
    applied: true,
    changes: ['listen.address: 127.0.0.1:0 to 127.0.0.2:0'],
    restartRequired: [],
    streamsReset: 0,
  });
  assert.match(gray.lanes, /^127\.0\.0\.2:/);
  assert.equal(gray.running.status().listening?.error, null);
  assert.equal(await isRefused(former), true);
  await say('still');
  assert.equal(sessionId(), session);

  const blue = await LabNode.start(await credentials('blue'), peerAt(gray.lanes));
  await until('a newcomer is up', () => blue.peer()?.state === 'up');
  const again = await gray.reload(listenOn('127.0.0.2:0') + grayService);
  assert.deepEqual(again.changes, []);
  await blue.stop();
  await pair.stop();
});

test('an address that is taken refuses the whole reload, and nothing changes', async () => {
  const pair = await startPair();
  const { gray, red, grayService, say } = pair;
  const taken = await serve(echo);
  const [former, services] = [gray.lanes, gray.running.status().services];
  await assert.rejects(gray.reload(listenOn(`127.0.0.1:${taken.port}`)), { code: 'listen-in-use' });
  assert.equal(gray.lanes, former);
  assert.deepEqual(
    gray.running.status().services.map(({ name }) => name),
    services.map(({ name }) => name),
  );
  const line = gray.lines.at(-1)!;
  assert.equal(line.event, 'reload-refused');
  assert.match(String(line.hint), /another process has that port/);
  await say('still');
  assert.equal(await isRefused(former), false);

  await taken.close();
  const report = await gray.reload(listenOn(`127.0.0.1:${taken.port}`) + grayService);
  assert.equal(report.changes.length, 1);
  assert.equal(gray.lanes, `127.0.0.1:${taken.port}`);
  assert.equal(red.peer()?.state, 'up');
  await say('at last');
  await pair.stop();
});

test('[listen] taken out closes the address, put in opens it; the session goes on', async () => {
  const pair = await startPair();
  const { gray, grayService, say, sessionId } = pair;
  const [former, session] = [gray.lanes, sessionId()];
  assert.deepEqual((await gray.reload(grayService)).changes, ['listen 127.0.0.1:0: removed']);
  assert.equal(gray.running.status().listening, null);
  assert.equal(await isRefused(former), true);
  await say('still');
  const back = await gray.reload(listenOn(former) + grayService);
  assert.deepEqual(back.changes, [`listen ${former}: added`]);
  assert.equal(gray.lanes, former);
  assert.equal(await isRefused(former), false);
  await say('and on');
  assert.equal(sessionId(), session);
  await pair.stop();
});

test('a node that only dialled begins to listen', async () => {
  const red = await LabNode.start(await credentials('red'), forward(ANY, 'gray/db'));
  const gray = await LabNode.start(await credentials('gray'), '');
  assert.equal(gray.running.status().listening, null);
  await gray.reload(LISTEN);
  await red.reload(peerAt(gray.lanes) + forward(ANY, 'gray/db'));
  await until('red is up', () => red.peer()?.state === 'up');
  await Promise.all([red.stop(), gray.stop()]);
});

test('a lane added by reload joins the session by the address that came after', async () => {
  const target = await serve(echo);
  const grayService = service('db', formatAddress(target.address), 'red');
  const gray = await LabNode.start(await credentials('gray'), LISTEN + grayService);
  const former = gray.lanes;
  const next = former.replace('127.0.0.1', '127.0.0.2');
  const red = await LabNode.start(
    await credentials('red'),
    `${peerAt(former, next)}lanes = 1\n${forward(ANY, 'gray/db')}`,
  );
  await until('red is up', () => red.peer()?.state === 'up');
  const session = gray.peer('red/red1')?.session?.id;
  await gray.reload(listenOn(next) + grayService);
  // The first lane came by the former address, which is closed now.
  const report = await red.reload(`${peerAt(former, next)}lanes = 2\n${forward(ANY, 'gray/db')}`);
  assert.deepEqual(report.changes, [`peer ${former}, ${next}: changed lanes`]);
  assert.equal(report.streamsReset, 0);
  await until('it has', () => gray.peer('red/red1')?.session?.lanes.length === 2);
  assert.equal(gray.peer('red/red1')?.session?.id, session);
  await Promise.all([red.stop(), gray.stop()]);
  await target.close();
});
