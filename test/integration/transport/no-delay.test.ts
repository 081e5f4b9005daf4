import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { libc } from '../../../packages/link/src/transport/native/libc.ts';
import { handOnNoDelay } from '../../../packages/link/src/transport/tcp/no-delay.ts';
import { onEachPlane } from '../../support/nodes/data-planes.ts';

const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;

/** What the system says of a connection; undefined without the native part. */
function delaysNothing(socket: Socket): boolean | undefined {
  const { fd } = (socket as unknown as { _handle: { fd: number } })._handle;
  const value = new Uint8Array(4);
  const read = libc()?.getOption(fd, IPPROTO_TCP, TCP_NODELAY, value);
  return read === undefined ? undefined : value[0] === 1;
}

async function accepted(handsOn: boolean): Promise<boolean | undefined> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  if (handsOn) assert.equal(handOnNoDelay(server), process.platform === 'linux');
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [socket] = (await once(server, 'connection')) as [Socket];
  const answer = delaysNothing(socket);
  client.destroy();
  socket.destroy();
  server.close();
  return answer;
}

onEachPlane(() => {
  test('what a server is told once about small writes holds for every connection it accepts', async () => {
    const native = libc() !== undefined;
    assert.equal(await accepted(false), native ? false : undefined);
    assert.equal(await accepted(true), native ? true : undefined);
  });
});
