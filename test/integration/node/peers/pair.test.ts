import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { formatAddress } from '../../../../packages/proto/src/base/address.ts';
import { onEachPlane } from '../../../support/nodes/data-planes.ts';
import {
  credentials,
  forward,
  LabNode,
  LISTEN,
  peerTo,
  service,
} from '../../../support/nodes/node-lab.ts';
import { dial, echo, serve, talk, until } from '../../../support/sockets/loopback.ts';

const directory = mkdtempSync(join(tmpdir(), 'routy-pair-'));
after(() => rmSync(directory, { recursive: true }));

const ANY = '127.0.0.1:0';

/** Two nodes of which red dials, each with an echo service `db` and a forward to the other's. */
async function startPair(more: { red?: string; gray?: string } = {}) {
  const target = await serve(echo);
  const db = (allow: string) => service('db', formatAddress(target.address), allow);
  const gray = await LabNode.start(
    await credentials('gray'),
    LISTEN + db('red') + forward(ANY, 'red/db') + (more.gray ?? ''),
  );
  const red = await LabNode.start(
    await credentials('red'),
    peerTo(gray) + db('gray') + forward(ANY, 'gray/db') + (more.red ?? ''),
  );
  return {
    red,
    gray,
    target,
    stop: async () => {
      await Promise.all([red.stop(), gray.stop()]);
      await target.close();
    },
  };
}

onEachPlane(() => {
  test('bytes and half-close pass in both directions over one dialled side', async () => {
    const { red, gray, stop } = await startPair();
    const payload = Buffer.alloc(3_000_000, 'routy');
    const outcomes = await Promise.all([
      talk(await red.reach('gray/db'), payload),
      talk(await gray.reach('red/db'), payload),
    ]);
    for (const { data, error } of outcomes) {
      assert.equal(error, undefined);
      assert.ok(data.equals(payload));
    }
    for (const node of [red, gray]) {
      const status = node.running.status();
      assert.deepEqual(
        status.peers.map(({ state, name }) => ({ state, name })),
        [{ state: 'up', name: node === red ? 'gray/gray1' : 'red/red1' }],
      );
      const peer = status.peers[0]!;
      assert.deepEqual(peer.session?.offers, ['db']);
      assert.match(peer.session.security, /^TLSv1\.3/);
      assert.equal(status.forwards[0]?.opened, 1);
      assert.equal(status.services[0]?.last?.detail, 'connected');
      await until('no stream is left', () => node.running.status().services[0]?.streams === 0);
      assert.equal(node.running.status().forwards[0]?.streams, 0);
    }
    await stop();
  });

  test('a target that refuses resets the client and says so on both ends', async () => {
    const { red, gray, target, stop } = await startPair();
    const address = await red.reach('gray/db');
    await target.close();
    assert.equal((await talk(address)).error, 'ECONNRESET');
    assert.match(red.forward('gray/db').last?.detail ?? '', /^target-refused: .*ECONNREFUSED/);
    assert.match(gray.running.status().services[0]?.last?.detail ?? '', /^target-refused/);
    assert.ok(red.events().includes('forward-refused'));
    assert.ok(gray.events().includes('stream-refused'));
    await stop();
  });

  test('a reset of the client reaches the target, and one of the target the client', async () => {
    const { red, target, stop } = await startPair();
    const address = await red.reach('gray/db');
    let clientError: string | undefined;
    const first = dial(address);
    await until('the target has the connection', () => target.sockets.size === 1);
    let targetError: string | undefined;
    const [atTarget] = target.sockets;
    atTarget!.on('error', (error: NodeJS.ErrnoException) => {
      targetError = error.code;
    });
    first.resetAndDestroy();
    await until('the target sees the reset', () => targetError === 'ECONNRESET');

    const second = dial(address);
    second.on('error', (error: NodeJS.ErrnoException) => {
      clientError = error.code;
    });
    await until('the target has the connection', () => target.sockets.size === 1);
    const [again] = target.sockets;
    again!.resetAndDestroy();
    await until('the client sees the reset', () => clientError === 'ECONNRESET');
    await stop();
  });

  test('a forward does not listen while its service is away, and a restart brings it back', async () => {
    const { red, gray, target, stop } = await startPair();
    const address = await red.reach('gray/db');
    const { lanes } = gray;
    const before = red.peer()?.session?.id;
    await gray.stop();
    await until('the forward is closed', () => red.forward('gray/db').state === 'unavailable');
    assert.equal((await talk(address)).error, 'ECONNREFUSED');
    assert.equal(red.forward('gray/db').reason, 'no session to site gray');

    const second = await LabNode.start(
      await credentials('gray'),
      `[listen]\naddress = "${lanes}"\n${service('db', formatAddress(target.address), 'red')}`,
    );
    assert.deepEqual(await red.reach('gray/db'), address);
    assert.equal((await talk(address, 'back')).data.toString(), 'back');
    assert.notEqual(red.peer()?.session?.id, before);
    await second.stop();
    await stop();
  });

  test('who is not in allow is offered nothing and refused at the open', async () => {
    const { red, gray, target, stop } = await startPair();
    await red.reach('gray/db');
    const report = await gray.reload(
      LISTEN + service('db', formatAddress(target.address), 'blue') + forward(ANY, 'red/db'),
    );
    assert.deepEqual(report.changes, ['service db: changed allow']);
    await until('red knows', () => red.forward('gray/db').state === 'unavailable');
    assert.equal(red.forward('gray/db').reason, 'site gray offers no db to this node');
    await stop();
  });

  test('unix sockets on both ends, and the PROXY header says unknown', async () => {
    const received: string[] = [];
    const target = await serve(
      (socket) => {
        socket.on('data', (data) => received.push(String(data)));
        socket.on('end', () => socket.end('thanks'));
      },
      { path: join(directory, 'target.sock') },
    );
    const gray = await LabNode.start(
      await credentials('gray'),
      LISTEN + service('db', formatAddress(target.address), 'red', 'proxy_protocol = "v1"'),
    );
    const red = await LabNode.start(
      await credentials('red'),
      peerTo(gray) +
        forward(`unix:${join(directory, 'forward.sock')}`, 'gray/db') +
        forward(ANY, 'gray/db'),
    );
    await until('both listen', () =>
      red.running.status().forwards.every(({ state }) => state === 'listening'),
    );
    const { data } = await talk({ kind: 'unix', path: join(directory, 'forward.sock') }, 'hello');
    assert.equal(data.toString(), 'thanks');
    assert.equal(received.join(''), 'PROXY UNKNOWN\r\nhello');
    await Promise.all([red.stop(), gray.stop()]);
    await target.close();
  });

  test('a holding forward waits for the session', async () => {
    const target = await serve(echo);
    const gray = await LabNode.start(
      await credentials('gray'),
      LISTEN + forward(ANY, 'red/db', 'unavailable = "hold 10s"'),
    );
    await until('it holds', () => gray.forward('red/db').state === 'holding');
    const [host, port] = gray.forward('red/db').listen.split(':');
    const held = talk({ kind: 'tcp', host: host!, port: Number(port) }, 'patience');
    const red = await LabNode.start(
      await credentials('red'),
      peerTo(gray) + service('db', formatAddress(target.address), 'gray'),
    );
    assert.equal((await held).data.toString(), 'patience');
    await Promise.all([red.stop(), gray.stop()]);
    await target.close();
  });

  test('ping answers per node and says when there is none', async () => {
    const { red, gray, stop } = await startPair();
    await red.reach('gray/db');
    const replies = await gray.running.ping('red', 2);
    assert.deepEqual(
      replies.map(({ peer, sequence }) => ({ peer, sequence })),
      [1, 2].map((sequence) => ({ peer: 'red/red1', sequence })),
    );
    assert.ok(replies.every(({ rttMs }) => rttMs >= 0 && rttMs < 1000));
    await assert.rejects(red.running.ping('blue', 1), { code: 'no-session' });
    await stop();
  });
});
