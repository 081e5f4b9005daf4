import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { libc } from '../../../packages/link/src/transport/native/libc.ts';
import { formatAddress } from '../../../packages/proto/src/base/address.ts';
import { nativeCalls } from '../../support/linux/native.ts';
import { onEachPlane } from '../../support/nodes/data-planes.ts';
import {
  credentials,
  forward,
  LabNode,
  LISTEN,
  peerTo,
  service,
} from '../../support/nodes/node-lab.ts';
import { dial, serve, type TestServer } from '../../support/sockets/loopback.ts';

/** What silence of 1 s and ten questions come to, on a loaded machine. */
const GONE_MS_MAX = 40_000;

async function between(target: TestServer, more = '') {
  const gray = await LabNode.start(
    await credentials('gray'),
    LISTEN + service('db', formatAddress(target.address), 'red', more),
  );
  const red = await LabNode.start(
    await credentials('red'),
    peerTo(gray) + forward('127.0.0.1:0', 'gray/db', more),
  );
  return {
    address: await red.reach('gray/db'),
    stop: async () => {
      await Promise.all([red.stop(), gray.stop()]);
      await target.close();
    },
  };
}

/** All that comes until the end. */
async function textOf(socket: Socket): Promise<string> {
  let text = '';
  for await (const chunk of socket) text += String(chunk);
  return text;
}

onEachPlane(() => {
  test('an urgent byte is carried in its place, both ways', { timeout: 60_000 }, async () => {
    const native = libc() && nativeCalls();
    const say = (socket: Socket): void => {
      // Without the native part the system keeps an urgent byte apart, and all others are carried.
      if (native === undefined) socket.write('abc');
      else assert.ok(native.sendUrgent(socket, 'abc'));
      socket.end('de');
    };
    const heard: Promise<string>[] = [];
    const target = await serve((socket) => {
      heard.push(textOf(socket));
      say(socket);
    });
    const pair = await between(target);
    // Urgent first, and on a connection that has not been read from before.
    const client = dial(pair.address);
    const answer = textOf(client);
    await once(client, 'connect');
    say(client);
    assert.equal(await answer, 'abcde');
    assert.deepEqual(await Promise.all(heard), ['abcde']);
    await pair.stop();
  });

  test('who vanishes while bytes are on their way is noticed, who does not read is left alone', {
    timeout: 90_000,
  }, async () => {
    const chunk = new Uint8Array(64 * 1024);
    const target = await serve((socket) => {
      const fill = (): void => {
        while (!socket.destroyed && socket.write(chunk));
      };
      socket.on('drain', fill);
      fill();
    });
    const pair = await between(target, 'keepalive = "1s"');
    const idler = dial(pair.address);
    await once(idler, 'data');
    idler.pause();
    const [idlersTarget] = [...target.sockets] as [Socket];
    const client = dial(pair.address);
    await once(client, 'data');
    const [, clientsTarget] = [...target.sockets] as [Socket, Socket];
    if (libc() === undefined) {
      // Nothing is noticed before the system gives up, and nothing is broken.
      client.on('data', () => undefined);
      await once(client, 'data');
    } else {
      const gone = new Promise((resolve) => clientsTarget.once('close', resolve));
      assert.ok(nativeCalls().vanish(client));
      const late = sleep(GONE_MS_MAX, 'late', { ref: false });
      assert.notEqual(await Promise.race([gone, late]), 'late');
    }
    assert.ok(!idler.destroyed && !idlersTarget.destroyed);
    client.destroy();
    idler.destroy();
    await pair.stop();
  });
});
