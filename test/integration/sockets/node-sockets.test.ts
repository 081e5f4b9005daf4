import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { resetSocket } from '../../../packages/link/src/streams/sockets.ts';
import { onEachPlane } from '../../support/nodes/data-planes.ts';

/** Both ends of a TCP connection on loopback, with the server that made them. */
async function withPair(use: (near: Socket, far: Socket) => Promise<void>): Promise<void> {
  const server = createServer({ allowHalfOpen: true });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const near = connect({
    host: '127.0.0.1',
    port: (server.address() as AddressInfo).port,
    allowHalfOpen: true,
  });
  const [far] = (await once(server, 'connection')) as [Socket];
  if (near.connecting) await once(near, 'connect');
  try {
    await use(near, far);
  } finally {
    near.destroy();
    far.destroy();
    server.close();
  }
}

/**
 * How the connection ends for the one who reads it: the error's code, or `clean`. A reset that comes
 * with the last bytes is an end to node; a write tells.
 */
async function outcome(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(String(error.code)));
    socket.once('end', () => {
      socket.write('', (error: NodeJS.ErrnoException | null | undefined) => {
        resolve(error ? String(error.code) : 'clean');
      });
    });
    socket.resume();
  });
}

onEachPlane(() => {
  test('the other end sees a reset', async () => {
    await withPair(async (near, far) => {
      const closed = once(near, 'close');
      const seen = outcome(far);
      resetSocket(near);
      await closed;
      assert.equal(await seen, 'ECONNRESET');
    });
  });

  test('a reset right after a half-close leaves nothing open', async () => {
    await withPair(async (near, far) => {
      const closed = once(near, 'close');
      near.on('error', (error) => assert.fail(error));
      far.on('error', () => {});
      far.resume();
      near.end('the last bytes');
      resetSocket(near);
      resetSocket(near);
      await closed;
    });
  });

  test('bytes the other end does not take are no reason to end cleanly', async () => {
    await withPair(async (near, far) => {
      far.pause();
      near.end(Buffer.alloc(32 * 1024 * 1024));
      await new Promise((resolve) => setImmediate(resolve));
      assert.ok(near.writableLength > 0, 'more than the system buffers');
      const closed = once(near, 'close');
      resetSocket(near);
      await closed;
      assert.equal(await outcome(far), 'ECONNRESET');
    });
  });
});
