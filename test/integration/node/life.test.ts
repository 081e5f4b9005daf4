import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatAddress } from '../../../packages/proto/src/base/address.ts';
import { onEachPlane } from '../../support/nodes/data-planes.ts';
import {
  credentials,
  forward,
  LabNode,
  LISTEN,
  peerTo,
  service,
} from '../../support/nodes/node-lab.ts';
import { dial, echo, hear, serve, talk, until } from '../../support/sockets/loopback.ts';

const ANY = '127.0.0.1:0';
const FABRIC = '[fabric]\nheartbeat_interval = "1s"\n';

/** Red dials gray and forwards to `gray/db`, an echo server. */
async function startPair(drain = '3s') {
  const target = await serve(echo);
  const grayText = LISTEN + service('db', formatAddress(target.address), 'red');
  const gray = await LabNode.start(await credentials('gray'), grayText, drain);
  const redText = peerTo(gray) + forward(ANY, 'gray/db');
  const red = await LabNode.start(await credentials('red'), redText, drain);
  const address = await red.reach('gray/db');
  return { target, gray, grayText, red, redText, address };
}

type Pair = Awaited<ReturnType<typeof startPair>>;

async function stopPair({ red, gray, target }: Pair): Promise<void> {
  await Promise.all([red.stop(), gray.stop()]);
  await target.close();
}

/** A client with an open stream that has carried bytes. */
async function connected({ address, target }: Pair) {
  const before = target.sockets.size;
  const client = dial(address);
  const seen = { text: '', error: undefined as string | undefined, closed: false };
  client.on('data', (data) => {
    seen.text += String(data);
  });
  client.on('error', (error: NodeJS.ErrnoException) => {
    seen.error = error.code;
  });
  client.on('close', () => {
    seen.closed = true;
  });
  client.write('open ');
  await until('the stream carries bytes', () => seen.text === 'open ');
  assert.equal(target.sockets.size, before + 1);
  return { client, seen };
}

onEachPlane(() => {
  test('reload adds and removes without touching what stays', async () => {
    const pair = await startPair();
    const { red, gray, redText, grayText, target, address } = pair;
    const { client, seen } = await connected(pair);

    const more = grayText + service('db2', formatAddress(target.address), 'red');
    assert.deepEqual((await gray.reload(more)).changes, ['service db2: added']);
    const report = await red.reload(redText + forward('127.0.0.2:0', 'gray/db2'));
    assert.deepEqual(report, {
      applied: true,
      changes: ['forward 127.0.0.2:0: added'],
      restartRequired: [],
      streamsReset: 0,
    });
    assert.equal((await talk(await red.reach('gray/db2'), 'new')).data.toString(), 'new');

    client.write('still');
    await until('the old stream goes on', () => seen.text === 'open still');

    const removed = await red.reload(peerTo(gray) + forward('127.0.0.2:0', 'gray/db2'));
    assert.equal(removed.streamsReset, 1);
    await until('its client is reset', () => seen.error === 'ECONNRESET');
    assert.equal((await talk(address)).error, 'ECONNREFUSED');
    await until('the target is free', () => target.sockets.size === 0);
    await stopPair(pair);
  });

  test('a peer taken from allow loses its streams, and a service that goes ends its own', async () => {
    const pair = await startPair();
    const { gray, grayText, red } = pair;
    const first = await connected(pair);
    const denied = await gray.reload(grayText.replace('"red"', '"blue"'));
    assert.equal(denied.streamsReset, 1);
    await until('the client is reset', () => first.seen.error === 'ECONNRESET');

    assert.equal((await gray.reload(grayText)).streamsReset, 0);
    await red.reach('gray/db');
    const second = await connected(pair);
    assert.equal((await gray.reload(LISTEN)).streamsReset, 1);
    await until('the client is reset', () => second.seen.error === 'ECONNRESET');
    await stopPair(pair);
  });

  test('a broken file changes nothing, and what needs a restart is named until it is done', async () => {
    const pair = await startPair();
    const { gray, grayText, red, address } = pair;
    const before = gray.running.status().services;
    await assert.rejects(gray.reload(`${grayText}nonsense = 1\n`), { code: 'config-invalid' });
    assert.deepEqual(gray.running.status().services, before);
    assert.equal(gray.lines.at(-1)?.event, 'reload-refused');

    for (const _ of [1, 2]) {
      const report = await gray.reload(grayText + FABRIC);
      assert.deepEqual(report.restartRequired, ['fabric.heartbeat_interval']);
    }
    assert.equal((await talk(address, 'up')).data.toString(), 'up');
    assert.equal(red.peer()?.state, 'up');
    await stopPair(pair);
  });

  test('a peer added by reload is dialled, a removed one is left', async () => {
    const pair = await startPair();
    const { red, redText } = pair;
    const { seen } = await connected(pair);
    const report = await red.reload(forward(ANY, 'gray/db'));
    assert.equal(report.streamsReset, 1);
    await until('the client is reset', () => seen.error === 'ECONNRESET');
    assert.deepEqual(red.running.status().peers, []);
    await red.reload(redText);
    await red.reach('gray/db');
    await stopPair(pair);
  });

  test('a draining node lets streams finish and takes no new ones', async () => {
    const pair = await startPair();
    const { gray, red, address } = pair;
    const { client, seen } = await connected(pair);
    let drained = false;
    const draining = gray.running.drain().then(() => {
      drained = true;
    });
    await until('red knows', () => red.forward('gray/db').state === 'unavailable');
    assert.equal(gray.running.status().state, 'draining');
    assert.equal((await talk(address)).error, 'ECONNREFUSED');
    client.end('bye');
    await until('the old stream ends in order', () => seen.closed);
    assert.deepEqual({ ...seen }, { text: 'open bye', error: undefined, closed: true });
    await draining;
    assert.ok(drained);
    await stopPair(pair);
  });

  test('a session that was drained begins anew when it is empty, and again after another drain', async () => {
    const pair = await startPair('100ms');
    const { gray, red } = pair;
    const sessionId = () => red.peer()?.session?.id;
    const first = sessionId();
    for (const again of [false, true]) {
      const { client } = await connected(pair);
      const before = sessionId();
      assert.deepEqual(await gray.running.drain(), { drained: false, streams: 1 });
      assert.deepEqual(gray.running.undrain(), { undrained: true, sessionsWaiting: 1 });
      // Begun anew within 200 ms of its last stream; while it drains again it is not (unit test of the host).
      if (again) await gray.running.drain();
      client.destroy();
      if (again) {
        await until('its stream has ended', () => red.peer()?.session?.streams === 0);
        gray.running.undrain();
      }
      await until('the session is another one', () => ![undefined, before].includes(sessionId()));
      await until(
        'the service is offered again',
        () => red.forward('gray/db').state === 'listening',
      );
    }
    assert.notEqual(sessionId(), first);
    await stopPair(pair);
  });

  test('while one node of a site drains, its clients go to another', async () => {
    const pending = (text: string) => serve((socket) => socket.end(text));
    const targets = await Promise.all([pending('one'), pending('two')]);
    const grays = await Promise.all(
      targets.map(async (target, index) =>
        LabNode.start(
          await credentials('gray', `gray${index + 1}`),
          LISTEN + service('db', formatAddress(target.address), 'red'),
        ),
      ),
    );
    const red = await LabNode.start(
      await credentials('red'),
      grays.map(peerTo).join('') + forward(ANY, 'gray/db'),
    );
    // A session is there a little before the services of its peer are known.
    await until('both serve', () =>
      grays.every(({ name }) => red.peer(name)?.session?.offers[0] === 'db'),
    );
    const address = await red.reach('gray/db');
    const first = (await hear(address)).data.toString();
    const [drained, other] = first === 'one' ? grays : [grays[1], grays[0]];
    // No wait in between: red may not know yet, and is refused with `draining`.
    void drained!.running.drain();
    const after = await Promise.all(Array.from({ length: 20 }, () => hear(address)));
    assert.deepEqual(
      after.filter(({ data, error }) => error !== undefined || data.length !== 3),
      [],
    );
    assert.equal(red.forward('gray/db').last?.peer, other!.name);
    await Promise.all([red, ...grays].map((node) => node.stop()));
    await Promise.all(targets.map((target) => target.close()));
  });

  test('a stop resets what is open when the drain time is over, and leaves nothing behind', async () => {
    const pair = await startPair('50ms');
    const { gray, red, target } = pair;
    const { seen } = await connected(pair);
    await gray.stop();
    await until('the client is reset', () => seen.error === 'ECONNRESET');
    await until('the target is free', () => target.sockets.size === 0);
    const down = red.lines.find((line) => line.event === 'session-down');
    assert.equal(down?.code, 'shutdown');
    assert.equal(down.remote, true);
    await red.stop();
    await target.close();
    // Sockets that linger hold the process; the runner would wait for them. What is left is the
    // runner's own.
    await until('every socket is gone', () => {
      return !process.getActiveResourcesInfo().some((name) => name.startsWith('TCP'));
    });
  });

  test('different settings are refused; both ends name the setting and both values', async () => {
    const gray = await LabNode.start(await credentials('gray'), LISTEN);
    const red = await LabNode.start(await credentials('red'), peerTo(gray) + FABRIC);
    await until('red is refused', () => red.peer()?.state === 'refused');
    await until('gray has noted it', () => gray.peer('red/red1')?.state === 'refused');
    for (const node of [red, gray]) {
      const peer = node.peer()!;
      assert.match(peer.reason ?? '', /heartbeat_interval/);
      assert.match(peer.reason ?? '', /\b1s\b/);
      assert.match(peer.reason ?? '', /\b5s\b/);
      assert.match(peer.hint ?? '', /\[fabric\]/);
      const line = node.lines.find(({ code }) => code === 'settings-mismatch');
      assert.match(line?.msg ?? '', /heartbeat_interval.*5s|heartbeat_interval.*1s/);
    }
    assert.equal(red.lines.filter(({ event }) => event === 'dial-failed').length, 1);
    await Promise.all([red.stop(), gray.stop()]);
  });

  test('a node that dials itself is told so', async () => {
    const first = await LabNode.start(await credentials('gray'), LISTEN);
    const second = await LabNode.start(await credentials('gray'), peerTo(first));
    await until('it is refused', () => second.peer()?.state === 'refused');
    assert.match(second.peer()?.reason ?? '', /identity-mismatch/);
    await Promise.all([first.stop(), second.stop()]);
  });

  test('a restarted dialler takes the place of its former process', async () => {
    const pair = await startPair();
    const { gray, redText, red } = pair;
    const again = await LabNode.start(await credentials('red'), redText);
    await again.reach('gray/db');
    await until('the former is turned away', () =>
      /replaced by a newer one/.test(red.peer()?.reason ?? ''),
    );
    assert.equal(red.peer()?.state, 'refused');
    const up = gray.running.status().peers.filter(({ state }) => state === 'up');
    assert.equal(up.length, 1);
    await again.stop();
    await stopPair(pair);
  });

  test('nobody there: the status says what was tried and why it failed', async () => {
    const target = await serve(echo);
    await target.close();
    const red = await LabNode.start(
      await credentials('red'),
      `[[peer]]\naddress = "127.0.0.1:${target.port}"\n${forward(ANY, 'gray/db')}`,
    );
    await until('it has tried', () => (red.peer()?.attempts ?? 0) >= 2);
    const peer = red.peer()!;
    assert.equal(peer.name, null);
    assert.match(peer.reason ?? '', /ECONNREFUSED/);
    assert.match(peer.hint ?? '', /nothing listens/);
    assert.equal(red.lines.filter(({ event }) => event === 'dial-failed').length, 1);
    await red.stop();
  });
});
