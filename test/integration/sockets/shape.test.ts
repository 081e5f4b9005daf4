import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { keepAlive } from '../../../packages/link/src/streams/keepalive.ts';
import { keepReadable } from '../../../packages/link/src/streams/kept-readable.ts';
import { SocketEndpoint } from '../../../packages/link/src/streams/socket-endpoint.ts';
import { FakeByteStream } from '../../support/sockets/fake-byte-stream.ts';
import { KEEPALIVE_TIMER, timerOf } from '../../support/sockets/tcp-table.ts';
import { until } from '../../support/sockets/loopback.ts';

const skip = process.platform !== 'linux' && 'reads /proc/net/tcp';

test('a target that lives long has the shape of one that was just connected', {
  skip,
}, async (t) => {
  const server = createServer().listen(0, '127.0.0.1');
  t.after(() => server.close());
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
  t.after(() => socket.destroy());
  const [[peer]] = (await Promise.all([once(server, 'connection'), once(socket, 'connect')])) as [
    [Socket],
    unknown,
  ];
  t.after(() => peer.destroy());
  keepReadable(socket);
  keepAlive(socket, 60_000);
  const endpoint = new SocketEndpoint(socket, 'target', () => {});
  const stream = new FakeByteStream(endpoint);
  endpoint.writable();
  endpoint.data(Buffer.from('question'));
  endpoint.flush();
  peer.on('error', () => {}).write('answer');
  await until('the answer is there', () => stream.text === 'answer');
  const shape = Reflect.ownKeys(socket);

  await until(
    'the system asks whether the target is there',
    () => timerOf(peer.remotePort!, port) === KEEPALIVE_TIMER,
  );
  assert.deepEqual(Reflect.ownKeys(socket), shape);
  endpoint.reset('cancelled', 'the client is gone');
});
