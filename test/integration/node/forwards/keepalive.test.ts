import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { test } from 'node:test';
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
import { dial, serve, until } from '../../../support/sockets/loopback.ts';
import { KEEPALIVE_TIMER, timerOf } from '../../../support/sockets/tcp-table.ts';

const skip = process.platform !== 'linux' && 'reads /proc/net/tcp';

onEachPlane(() => {
  for (const [name, more, timer] of [
    ['are asked whether they are there', '', KEEPALIVE_TIMER],
    ['are not asked where keepalive is off', 'keepalive = "0s"', '00'],
  ] as const) {
    test(`clients and targets ${name}`, { skip }, async () => {
      const target = await serve((socket) => socket.write('hello'));
      const gray = await LabNode.start(
        await credentials('gray'),
        LISTEN + service('db', formatAddress(target.address), 'red', more),
      );
      const red = await LabNode.start(
        await credentials('red'),
        peerTo(gray) + forward('127.0.0.1:0', 'gray/db', more),
      );
      const client = dial(await red.reach('gray/db'));
      await once(client, 'data');
      const [targetSocket] = [...target.sockets] as [Socket];
      const clientTimer = () => timerOf(client.remotePort!, client.localPort!);
      const targetTimer = () => timerOf(targetSocket.remotePort!, target.port);
      // While bytes are on their way the timer is another one.
      await until('both are idle', () => clientTimer() === timer && targetTimer() === timer);
      assert.deepEqual([clientTimer(), targetTimer()], [timer, timer]);
      client.destroy();
      await Promise.all([red.stop(), gray.stop()]);
      await target.close();
    });
  }
});
