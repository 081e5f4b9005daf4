import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import {
  SessionStream,
  type SessionStreamHost,
} from '../../../packages/link/src/driver/session-stream.ts';
import { SocketEndpoint } from '../../../packages/link/src/streams/socket-endpoint.ts';
import { FakeByteStream } from '../../support/sockets/fake-byte-stream.ts';
import { until } from '../../support/sockets/loopback.ts';

/** Both ends of a connection. */
async function connected(): Promise<{ socket: Socket; peer: Socket }> {
  const server = createServer({ allowHalfOpen: true });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  const [peer] = (await once(server, 'connection')) as [Socket];
  if (socket.connecting) await once(socket, 'connect');
  server.close();
  return { socket, peer };
}

test('an end that is known between two streams is told to the second', async () => {
  const { socket, peer } = await connected();
  const endpoint = new SocketEndpoint(socket, 'client', () => {});
  const first = new FakeByteStream(endpoint);
  socket.prependListener('end', () => endpoint.detach());
  const ended = once(socket, 'end');
  endpoint.writable();
  peer.end();
  await ended;
  const second = new FakeByteStream(endpoint);
  await until('the second stream is told', () => second.told.length > 0);
  assert.deepEqual([first.told, second.told], [[], ['end']]);
  socket.destroy();
  peer.destroy();
});

const TINY_PIECES = 20_000;

/** Twice the bytes, and a few chunks that the kernel seemed to have room for. */
const MEMORY_MAX = 2 * TINY_PIECES + 64 * 1024;

/** Gives the endpoint bytes one by one, each a part of a chunk of its own. */
async function giveTinyPieces(endpoint: { data(bytes: Uint8Array): void }): Promise<Buffer> {
  const all = Buffer.alloc(TINY_PIECES);
  for (let i = 0; i < TINY_PIECES; i++) {
    const chunk = new Uint8Array(16 * 1024).fill(i);
    all[i] = i;
    endpoint.data(chunk.subarray(24, 25));
    if (i % 100 === 99) await nextRound();
  }
  return all;
}

const nextRound = () => new Promise((resolve) => setImmediate(resolve));

/** Notes the memory behind everything the socket is given from now on. */
function watchWrites(socket: Socket): { memory: number; bytes: number } {
  const seen = { memory: 0, bytes: 0 };
  const write = socket.write.bind(socket) as (...args: unknown[]) => boolean;
  socket.write = (...args: unknown[]) => {
    const { buffer, length } = args[0] as Uint8Array;
    seen.memory += buffer.byteLength;
    seen.bytes += length;
    return write(...args);
  };
  return seen;
}

async function readAll(peer: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of peer) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

test('bytes for a destination that does not read keep no more memory than they need', async () => {
  const { socket, peer } = await connected();
  const endpoint = new SocketEndpoint(socket, 'target', () => {});
  const session = new FakeByteStream(endpoint);
  const whole = new Uint8Array(64 * 1024).fill(1);
  let filling = 0;
  // The kernel's buffers grow for a while.
  for (let idleRounds = 0; idleRounds < 1_000; idleRounds++) {
    await nextRound();
    if (socket.writableLength > 0) continue;
    endpoint.data(whole);
    filling += whole.length;
    idleRounds = 0;
  }
  const seen = watchWrites(socket);
  const tiny = await giveTinyPieces(endpoint);
  endpoint.fin();
  assert.ok(session.bytesDelivered <= filling, 'what waits is not delivered');
  const received = await readAll(peer);
  assert.equal(received.length, filling + TINY_PIECES, 'all of it, and then the end');
  assert.deepEqual(received.subarray(filling), tiny);
  assert.equal(seen.bytes, TINY_PIECES);
  assert.ok(seen.memory <= MEMORY_MAX, `${seen.memory} bytes of memory`);
  if (!socket.writableFinished) await once(socket, 'finish');
  assert.equal(session.bytesDelivered, filling + TINY_PIECES);
  socket.destroy();
});

test('bytes that come before the socket keep no more memory than they need', async () => {
  const { socket, peer } = await connected();
  let bytesDelivered = 0;
  const host = {
    delivered: (_id: number, bytes: number) => {
      bytesDelivered += bytes;
    },
    finDelivered: () => undefined,
    reset: () => undefined,
    unflushed: (each: SessionStream) => setImmediate(() => each.flush()),
  } as unknown as SessionStreamHost;
  const request = {
    protocol: 'tcp',
    versions: [1],
    capabilities: [],
    service: 'db',
    source: undefined,
    destination: undefined,
  };
  const stream = new SessionStream(1, request, host);
  const tiny = await giveTinyPieces(stream);
  stream.fin();
  const seen = watchWrites(socket);
  stream.join(new SocketEndpoint(socket, 'target', () => {}));
  assert.deepEqual(await readAll(peer), tiny);
  assert.equal(bytesDelivered, TINY_PIECES);
  assert.ok(seen.memory <= MEMORY_MAX, `${seen.memory} bytes of memory`);
  socket.destroy();
});

const LAST_BYTES = 8 * 1024 * 1024;

/** An endpoint whose other end reads nothing yet, with more bytes than the system takes and a reset. */
async function resetBehindBytes() {
  const { socket, peer } = await connected();
  peer.pause();
  let ended: string | undefined;
  const endpoint = new SocketEndpoint(socket, 'client', ({ code }) => {
    ended = code;
  });
  const session = new FakeByteStream(endpoint);
  const piece = new Uint8Array(64 * 1024).fill(7);
  for (let at = 0; at < LAST_BYTES; at += piece.length) endpoint.data(piece);
  assert.equal(endpoint.reset('connection-reset', 'at the other end'), false);
  await nextRound();
  assert.equal(ended, undefined);
  return { socket, peer, session, ended: () => ended };
}

test('a socket that takes nothing is reset all the same', async () => {
  const { socket, peer, session, ended } = await resetBehindBytes();
  assert.equal(socket.timeout, 5_000);
  socket.emit('timeout');
  await until('the session is told', () => session.told.length > 0);
  assert.deepEqual(session.told, ['cancelled']);
  assert.ok(session.bytesDelivered < LAST_BYTES);
  assert.deepEqual([socket.destroyed, ended()], [true, 'connection-reset']);
  peer.destroy();
});
