import assert from 'node:assert/strict';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import type { TcpAddress } from '../../../../packages/proto/src/base/address.ts';
import { parseAddress } from '../../../../packages/proto/src/base/address.ts';
import { PEER_SESSIONS_MAX } from '../../../../packages/link/src/peers/session-registry.ts';
import { Attacker, type HostileLane } from '../../../hostile/attacker.ts';
import * as frames from '../../../hostile/frames.ts';
import {
  credentials,
  forward,
  LabNode,
  LISTEN,
  peerTo,
  service,
} from '../../../support/nodes/node-lab.ts';
import { until } from '../../../support/sockets/loopback.ts';

const LIMITS = '[limits]\nprocess_buffer = "8MiB"\nsession_buffer = "8MiB"\n';

/** Gray with an echo; blue, whose clients reach it; and papers of red for whoever wants to do harm. */
async function startLab(t: TestContext) {
  const echo = await listening((socket) => socket.pipe(socket));
  t.after(() => echo.close());
  const { port } = echo.address() as { port: number };
  const gray = await LabNode.start(
    await credentials('gray'),
    `${LISTEN}${LIMITS}${service('echo', `127.0.0.1:${port}`, 'blue", "red')}`,
    '100ms',
  );
  t.after(() => gray.stop());
  const blue = await LabNode.start(
    await credentials('blue'),
    `${peerTo(gray)}${forward('127.0.0.1:0', 'gray/echo')}`,
    '100ms',
  );
  t.after(() => blue.stop());
  const reach = (await blue.reach('gray/echo')) as TcpAddress;
  const { port: lanes } = parseAddress(gray.lanes) as TcpAddress;
  const attacker = new Attacker({ port: lanes, papers: await credentials('red'), trapPort: 0 });
  const greeted: HostileLane[] = [];
  t.after(() => {
    for (const lane of greeted) lane.abort();
  });
  const greet = async (): Promise<HostileLane> => {
    const lane = await attacker.greet();
    greeted.push(lane);
    return lane;
  };
  return { gray, reach, greet };
}

async function listening(onSocket: (socket: Socket) => void): Promise<Server> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {});
    onSocket(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}

/** A client that sends a word and gets it back; rejects when its connection is reset. */
function echoes({ host, port }: TcpAddress): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port });
    let text = '';
    socket.on('error', reject);
    socket.on('data', (chunk) => {
      text += String(chunk);
    });
    socket.on('end', () => resolve(text));
    socket.end('hello');
  });
}

test('idle streams of one peer, as many as it gets, refuse nobody else', async (t) => {
  const { gray, reach, greet } = await startLab(t);
  assert.equal(await echoes(reach), 'hello');
  const red = await greet();
  for (let n = 0; n < 600; n += 50) {
    await red.flood(
      ...Array.from({ length: 50 }, (_, k) => frames.open(2 * (n + k) + 1, 'echo', 1)),
    );
  }
  const answered = () => red.received(frames.TYPE.ACCEPT) + red.received(frames.TYPE.RESET);
  await until('all have an answer', () => answered() === 600);
  const refused = red.received(frames.TYPE.RESET);
  assert.ok(refused > 100, `${refused} refused`);
  for (let n = 0; n < 20; n++) assert.equal(await echoes(reach), 'hello');

  const { session } = gray.peer('red/red1')!;
  assert.equal(session!.streamsRefused, refused);
  assert.ok(session!.usedBytes > 2 * 1024 * 1024, 'what it holds is shown');
  assert.ok(session!.usedBytes <= session!.shareBytes);
  assert.equal(gray.peer('blue/blue1')!.session!.streamsRefused, 0);
  const lines = gray.lines.filter(({ event }) => event === 'stream-refused');
  assert.equal(lines.length, 1, 'said once');
  assert.match(lines[0]!.msg, /^\d+ streams of red\/red1 refused: the buffer budget is used up/);
  const metrics = await gray.metrics.text();
  assert.match(
    metrics,
    new RegExp(`routy_refusals_total\\{[^}]*reason="overload"[^}]*\\} ${refused}`),
  );
});

test('a peer that begins one session after the other has the latest sixteen', async (t) => {
  const { gray, reach, greet } = await startLab(t);
  const lanes: HostileLane[] = [];
  for (let n = 0; n < PEER_SESSIONS_MAX + 4; n++) lanes.push(await greet());
  await until('the oldest are gone', () => lanes.filter(({ gone }) => gone).length === 4);
  assert.deepEqual(
    lanes.map(({ gone }) => gone),
    lanes.map((_, n) => n < 4),
  );
  lanes[9]!.abort();
  const sessions = () => gray.running.status().peers.filter(({ name }) => name === 'red/red1');
  await until('one is suspended', () => sessions().some(({ state }) => state === 'suspended'));
  lanes.push(await greet());
  await until('it has given way', () => sessions().every(({ state }) => state === 'up'));
  assert.equal(sessions().length, PEER_SESSIONS_MAX);
  assert.equal(lanes.filter(({ gone }) => gone).length, 5);
  assert.equal(await echoes(reach), 'hello');
});

test('a list of 4,000 long names opens no session anew, and one of 20,000 is taken', async (t) => {
  const { gray, reach, greet } = await startLab(t);
  const red = await greet();
  const long = Array.from({ length: 20_000 }, (_, n) => `${'x'.repeat(50)}-${n}`);
  red.send(frames.offersInPages(1, long));
  const session = () => gray.peer('red/red1')?.session;
  await until('all are there', () => session()?.offersCount === 20_000);
  assert.deepEqual(session()!.offers, long.slice(0, 1_000), 'the status shows the first ones');
  assert.ok(!red.gone);
  assert.equal(await echoes(reach), 'hello');
});
