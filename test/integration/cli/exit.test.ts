import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { formatAddress, parseAddress } from '../../../packages/proto/src/base/address.ts';
import { startGray } from './cli-pair.ts';
import { Home, Running, scratch, untilStatus } from '../../support/nodes/cli-support.ts';
import { dial, serve, until } from '../../support/sockets/loopback.ts';

/** Throws in the process it is loaded into when that gets a signal nothing else means. */
const DEFECT = `process.on('SIGWINCH',()=>{setTimeout(()=>{throw new Error('a defect')})})`;

const NOTHING = Buffer.alloc(0);

/** What became of a socket. */
function fate(socket: Socket): { error: string | undefined; ended: boolean } {
  const fate = { error: undefined as string | undefined, ended: false };
  socket.resume();
  socket.on('end', () => {
    fate.ended = true;
    // libuv may call a reset that comes right behind bytes an end: then writing nothing fails.
    socket.write(NOTHING);
  });
  socket.on('error', (error: NodeJS.ErrnoException) => {
    fate.error = error.code;
  });
  return fate;
}

/** Writes to it for as long as it is there. */
function pump(socket: Socket): void {
  const piece = Buffer.alloc(64 * 1024);
  const more = (): void => {
    while (!socket.destroyed && socket.write(piece));
  };
  socket.on('drain', more);
  more();
}

/** A connection from a client at gray to a target at red, over two processes. */
async function connection(t: TestContext) {
  const directory = scratch(t);
  const [gray, red] = [new Home(directory, 'gray'), new Home(directory, 'red')];
  const target = await serve((socket) => socket.write('hello'));
  t.after(() => target.close());
  process.env.NODE_OPTIONS = `--import=data:text/javascript,${encodeURIComponent(DEFECT)}`;
  t.after(() => delete process.env.NODE_OPTIONS);
  const { grayUp, joinLine } = await startGray(t, gray, '127.0.0.1:0=red/db');
  const redUp = new Running(
    t,
    ...['join', joinLine, '--node', 'red1', '--up', ...red.made],
    ...['--service', `db=${formatAddress(target.address)}`, '--allow', 'gray'],
  );
  const { forwards } = await untilStatus(gray, (status) => {
    return status.forwards[0]?.state === 'listening';
  });
  const client = dial(parseAddress(forwards[0]!.listen)!);
  t.after(() => client.destroy());
  await once(client, 'data');
  const [targetSocket] = target.sockets;
  const ends = { client: fate(client), target: fate(targetSocket!) };
  return { grayUp, redUp, ends, client, target: targetSocket! };
}

const RESET = { error: 'ECONNRESET', ended: false };

for (const side of ['grayUp', 'redUp'] as const) {
  const whose = side === 'grayUp' ? "the client's" : "the target's";

  test(`a second signal to ${whose} node resets both ends of a connection`, async (t) => {
    const { [side]: node, ends } = await connection(t);
    node.signal('SIGTERM');
    await node.printed(/SIGTERM: stopping/);
    assert.equal(await node.stop('SIGINT'), 1);
    await until('both ends were told', () => ends.client.error !== undefined);
    await until('both ends were told', () => ends.target.error !== undefined);
    assert.deepEqual(ends, { client: RESET, target: RESET });
  });

  test(`a defect in ${whose} node resets both ends of a connection`, async (t) => {
    const { [side]: node, ends } = await connection(t);
    assert.equal(await node.stop('SIGWINCH'), 1);
    await until('both ends were told', () => ends.client.error !== undefined);
    await until('both ends were told', () => ends.target.error !== undefined);
    assert.deepEqual(ends, { client: RESET, target: RESET });
  });

  test(`so does one in ${whose} node that has much to send, and nothing begins anew`, async (t) => {
    const { [side]: node, grayUp, redUp, ends, client, target } = await connection(t);
    // There is always a write under way on the lane, behind which the last frame has to wait.
    pump(side === 'grayUp' ? client : target);
    await until('bytes flow', () => (side === 'grayUp' ? target : client).bytesRead > 10_000_000);
    assert.equal(await node.stop('SIGWINCH'), 1);
    await until('both ends were told', () => ends.client.error !== undefined);
    await until('both ends were told', () => ends.target.error !== undefined);
    for (const { output } of [grayUp, redUp]) assert.equal(output.split('"session-up"').length, 2);
  });
}
