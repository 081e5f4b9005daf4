import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import {
  type EndpointSide,
  SocketEndpoint,
} from '../../../packages/link/src/streams/socket-endpoint.ts';
import { isGone } from '../../../packages/link/src/streams/socket-watch.ts';
import {
  NodeStreamSocket,
  type StreamSocket,
} from '../../../packages/link/src/streams/stream-socket.ts';
import { HoldQueue } from '../../../packages/routy/src/forwards/hold-queue.ts';
import { onEachPlane, planeSockets } from '../../support/nodes/data-planes.ts';
import { FakeByteStream } from '../../support/sockets/fake-byte-stream.ts';
import { until } from '../../support/sockets/loopback.ts';

const directory = mkdtempSync(join(tmpdir(), 'routy-unread-'));
after(() => rmSync(directory, { recursive: true }));

/** Both ends of a connection, `socket` as a listener hands it on. */
async function connected(path?: string): Promise<{ socket: Socket; peer: Socket }> {
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true });
  await once(path === undefined ? server.listen(0, '127.0.0.1') : server.listen(path), 'listening');
  const { port } = server.address() as AddressInfo;
  const to = path === undefined ? { port, host: '127.0.0.1' } : { path };
  const peer = connect({ ...to, allowHalfOpen: true });
  const [[socket]] = (await Promise.all([once(server, 'connection'), once(peer, 'connect')])) as [
    [Socket],
    unknown,
  ];
  server.close();
  return { socket, peer };
}

/** The endpoint of a socket, and a stream that takes no more than one chunk, until told. */
function endIn(socket: Socket, side: EndpointSide) {
  const endpoint = new SocketEndpoint(socket, side, () => {});
  const session = new FakeByteStream(endpoint);
  session.open = false;
  return { endpoint, session };
}

async function paused(side: EndpointSide, path?: string) {
  const { socket, peer } = await connected(path);
  const { endpoint, session } = endIn(socket, side);
  endpoint.writable();
  peer.write('first');
  await until('the session takes no more', () => session.text === 'first');
  return { socket, peer, session, endpoint };
}

const ways: [string, (peer: Socket) => void, string | undefined][] = [
  ['a client that resets', (peer) => peer.resetAndDestroy(), undefined],
  ['a unix client that closes', (peer) => peer.destroy(), join(directory, 'client')],
];
for (const [name, act, path] of ways) {
  test(`${name} while its socket is not read is noticed`, async () => {
    const { peer, session, socket } = await paused('client', path);
    // More than Node reads ahead: from then on nobody looks at the socket.
    peer.write(Buffer.alloc(1024 * 1024));
    await until('Node has read ahead', () => socket.readableLength >= socket.readableHighWaterMark);
    act(peer);
    await until('it is noticed', () => session.told.length > 0);
    assert.deepEqual(session.told, ['cancelled']);
    await until('the socket is closed', () => socket.destroyed);
  });
}

test('what a target said before it reset is read when the session takes it again', async () => {
  const { socket, peer, session, endpoint } = await paused('target');
  const answer = 'a'.repeat(96 * 1024);
  peer.write(answer);
  await until('Node has read ahead', () => socket.readableLength >= socket.readableHighWaterMark);
  peer.write('last words', () => peer.resetAndDestroy());
  await until('it has reset', () => isGone(socket));
  endpoint.data(Buffer.from('too late'));
  await once(socket, 'routy:writing-died');
  assert.deepEqual(session.told, []);
  session.open = true;
  endpoint.writable();
  await until('the session was told', () => session.told.length > 0);
  assert.equal(session.text, `first${answer}last words`);
  assert.deepEqual(session.told, ['connection-reset']);
});

/** A client of a forward and the socket it has there, of the plane that the tests are for. */
async function client(path?: string): Promise<{ socket: StreamSocket; peer: Socket }> {
  const sockets = planeSockets();
  if (sockets === undefined) {
    const { socket, peer } = await connected(path);
    return { socket: new NodeStreamSocket(socket), peer };
  }
  const accepted: StreamSocket[] = [];
  const server = sockets.server({
    onSocket: (socket) => accepted.push(socket),
    onFault: (error) => assert.fail(error),
  });
  const unix = path === undefined ? undefined : ({ kind: 'unix', path } as const);
  const port = await server.listen(unix ?? { kind: 'tcp', host: '127.0.0.1', port: 0 });
  const to = path === undefined ? { port, host: '127.0.0.1' } : { path };
  const peer = connect({ ...to, allowHalfOpen: true });
  await until('it is accepted', () => accepted.length > 0);
  server.close();
  return { socket: accepted[0]!, peer };
}

onEachPlane(() => {
  test('held clients that hang up are served no more, those that only half-close are', async () => {
    let gone = 0;
    const queue = new HoldQueue(
      60_000,
      () => assert.fail('nobody waited so long'),
      () => gone++,
    );
    const reset = await client();
    const closed = await client(join(directory, 'held'));
    const halfClosed = await client();
    const late = await client();
    const held = [reset, closed, halfClosed, late].map(({ socket }) => socket);
    for (const socket of held) assert.ok(queue.add(socket));
    reset.peer.write('INCR n\r\n', () => reset.peer.resetAndDestroy());
    closed.peer.end('INCR n\r\n', () => closed.peer.destroy());
    halfClosed.peer.end('INCR n\r\n');
    await until('two have gone', () => gone === 2);
    late.peer.resetAndDestroy();
    await until('the last one has reset', () => late.socket.isGone);
    const served: StreamSocket[] = [];
    queue.release((socket) => served.push(socket));
    assert.deepEqual(
      served.map((socket) => held.indexOf(socket)),
      [2],
    );
    assert.equal(gone, 3);
    for (const { socket, peer } of [halfClosed]) for (const each of [socket, peer]) each.destroy();
  });
});
