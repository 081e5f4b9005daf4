import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { type EndpointHost, StreamEndpoint } from '../../src/node/stream-endpoint.ts';

/** Notes what an endpoint tells its session. */
class Session implements EndpointHost {
  bytes = 0;
  readonly #ended: (how: string) => void;
  readonly outcome: Promise<string>;

  constructor() {
    const { promise, resolve } = deferred();
    this.outcome = promise;
    this.#ended = resolve;
  }

  write(_stream: number, chunk: Uint8Array): boolean {
    this.bytes += chunk.length;
    return true;
  }

  end(): void {
    this.#ended('end');
  }

  reset(_stream: number, code: string): void {
    this.#ended(code);
  }

  delivered(): void {}
  finDelivered(): void {}
  unflushed(): void {}
}

function deferred(): { promise: Promise<string>; resolve: (how: string) => void } {
  let resolve!: (how: string) => void;
  const promise = new Promise<string>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}

/** What the session is told when the other end of the endpoint's socket does `act`. */
async function whenPeer(
  act: (peer: Socket) => void,
  path?: string,
): Promise<{ bytes: number; outcome: string }> {
  const server = createServer({ allowHalfOpen: true });
  await once(path === undefined ? server.listen(0, '127.0.0.1') : server.listen(path), 'listening');
  const { port } = server.address() as AddressInfo;
  const socket =
    path === undefined
      ? connect({ port, host: '127.0.0.1', allowHalfOpen: true })
      : connect({ path, allowHalfOpen: true });
  const [peer] = (await once(server, 'connection')) as [Socket];
  if (socket.connecting) await once(socket, 'connect');
  const session = new Session();
  const endpoint = new StreamEndpoint(1, session);
  endpoint.attach(socket, () => {});
  act(peer);
  endpoint.writable();
  const outcome = await session.outcome;
  socket.destroy();
  peer.destroy();
  server.close();
  return { bytes: session.bytes, outcome };
}

test('a half-close after the last bytes is an end', async () => {
  assert.deepEqual(await whenPeer((peer) => peer.end('last')), { bytes: 4, outcome: 'end' });
});

test('a connection closed altogether is an end', async () => {
  const closed = await whenPeer((peer) => peer.end('last', () => peer.destroy()));
  assert.deepEqual(closed, { bytes: 4, outcome: 'end' });
});

test('a unix socket closed altogether is an end', async () => {
  const path = join(tmpdir(), `routy-endpoint-${process.pid}.sock`);
  const closed = await whenPeer((peer) => peer.end('last', () => peer.destroy()), path);
  assert.deepEqual(closed, { bytes: 4, outcome: 'end' });
});

test('a reset is a reset', async () => {
  const reset = await whenPeer((peer) => peer.resetAndDestroy());
  assert.deepEqual(reset, { bytes: 0, outcome: 'connection-reset' });
});

test('a reset that comes with the last bytes is a reset, never a clean end', async () => {
  const reset = await whenPeer((peer) => peer.write('last', () => peer.resetAndDestroy()));
  assert.deepEqual(reset, { bytes: 4, outcome: 'connection-reset' });
});
