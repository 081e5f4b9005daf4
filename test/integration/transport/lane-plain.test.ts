import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rename, rm, stat, writeFile } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Lane } from '../../../packages/link/src/transport/lane.ts';
import { plainTransport } from '../../../packages/link/src/transport/plain/plain-transport.ts';
import type {
  TransportAddress,
  TransportHandlers,
} from '../../../packages/link/src/transport/transport.ts';
import type { Identity } from '../../../packages/proto/src/base/identity.ts';
import { laneCompliance } from '../../support/lanes/lane-compliance.ts';
import {
  type LanePair,
  LOOPBACK,
  listeningPort,
  pairWith,
  until,
} from '../../support/lanes/lane-pair.ts';

const red: Identity = { fabric: 'f', site: 'red', node: 'red1' };
const gray: Identity = { fabric: 'f', site: 'gray', node: 'gray1' };
const { signal } = new AbortController();

let folder: string;
let sockets = 0;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'routy-plain-'));
});
after(() => rm(folder, { recursive: true }));

const unixPath = () => ({ kind: 'unix', path: join(folder, `${++sockets}`) }) as const;

laneCompliance('plain TCP', () => pair('tcp', LOOPBACK));
laneCompliance('a unix socket', () => pair('unix', unixPath()));

/** What a listener was told. */
function heard() {
  const lanes: Lane[] = [];
  const refusals: string[] = [];
  const handlers: TransportHandlers = {
    onLane: (lane) => lanes.push(lane),
    onRefused: ({ code, reason }) => refusals.push(`${code}: ${reason}`),
    onError: (error) => refusals.push(error.message),
    onReopened: () => undefined,
  };
  return { lanes, refusals, handlers };
}

async function pair(kind: 'tcp' | 'unix', address: TransportAddress): Promise<LanePair> {
  const { lanes, refusals, handlers } = heard();
  const listener = await plainTransport(kind, gray).listen(address, handlers);
  const dialled = await plainTransport(kind, red).dial(listener.address, signal);
  return pairWith(dialled, { lanes, refusals, close: () => listener.close() });
}

test('another fabric is refused by name, at both ends', async () => {
  const { refusals, handlers } = heard();
  const listener = await plainTransport('tcp', gray).listen(LOOPBACK, handlers);
  const other = plainTransport('tcp', { ...red, fabric: 'g' });
  await assert.rejects(other.dial(listener.address, signal), {
    code: 'peer-not-verified',
    message: /refuses this one: routy:\/\/g\/red\/red1 is of fabric "g", this is fabric "f"/,
  });
  await until('the refusal', () => refusals.length === 1);
  assert.match(refusals[0]!, /^peer-not-verified: /);
  await listener.close();
});

test('what speaks something else is refused at its first bytes, whoever of the two dialled', async () => {
  const { refusals, handlers } = heard();
  const listener = await plainTransport('tcp', gray).listen(LOOPBACK, handlers);
  const { port } = listener.address as { port: number };
  const socket = connect({ host: '127.0.0.1', port });
  socket.on('error', () => undefined).resume();
  socket.write(Buffer.from([0x16, 0x03, 0x01]));
  await once(socket, 'close');
  assert.match(refusals[0]!, /^lane-corrupt: .* does not speak the plain transport/);
  await listener.close();

  const server = createServer((answering: Socket) => void answering.end('SSH-2.0-x\r\n'));
  server.listen(0, '127.0.0.1');
  const address = { ...LOOPBACK, port: await listeningPort(server) };
  await assert.rejects(plainTransport('tcp', red).dial(address, signal), { code: 'lane-corrupt' });
  server.close();
});

test('a dial is given up when its signal fires, and a silent stranger when its listener closes', async () => {
  const held: Socket[] = [];
  const server = createServer((socket) => held.push(socket.on('error', () => undefined).resume()));
  server.listen(0, '127.0.0.1');
  const address = { ...LOOPBACK, port: await listeningPort(server) };
  const controller = new AbortController();
  const dialling = plainTransport('tcp', red).dial(address, controller.signal);
  await until('the connection', () => held.length === 1);
  const closed = once(held[0]!, 'close');
  controller.abort();
  await assert.rejects(dialling, { code: 'dial-aborted' });
  await closed;
  server.close();

  const { refusals, handlers } = heard();
  const listener = await plainTransport('tcp', gray).listen(LOOPBACK, handlers);
  const stranger = connect({
    host: '127.0.0.1',
    port: (listener.address as { port: number }).port,
  });
  stranger.on('error', () => undefined).resume();
  await once(stranger, 'connect');
  await listener.close();
  if (!stranger.destroyed) await once(stranger, 'close');
  assert.ok(refusals.length <= 1);
});

test('only its user may connect to a unix socket, a stale one is replaced, one in use is not', async () => {
  const address = unixPath();
  const transport = plainTransport('unix', gray);
  const first = await transport.listen(address, heard().handlers);
  assert.equal((await stat(address.path)).mode & 0o777, 0o600);
  await assert.rejects(transport.listen(address, heard().handlers), { code: 'listen-in-use' });
  await first.close();
  await assert.rejects(plainTransport('unix', red).dial(address, signal), /cannot connect to unix/);

  const [dying, stale] = [unixPath(), unixPath()];
  const server = createServer().listen(dying.path);
  await once(server, 'listening');
  // What is left is a socket that nobody listens on, as after a kill.
  await rename(dying.path, stale.path);
  server.close();
  const second = await transport.listen(stale, heard().handlers);
  (await plainTransport('unix', red).dial(stale, signal)).destroy();
  await second.close();
  await assert.rejects(transport.listen(LOOPBACK, heard().handlers), { code: 'address-invalid' });
});

test('a path that cannot be connected to or listened on says what is there instead', async () => {
  const transport = plainTransport('unix', red);
  const nothing = unixPath();
  await assert.rejects(transport.dial(nothing, signal), {
    code: 'dial-refused',
    message: `cannot connect to unix:${nothing.path}: connect ENOENT ${nothing.path}`,
    hint: /^there is no socket at that path/,
  });
  const file = unixPath();
  await writeFile(file.path, 'no socket');
  await assert.rejects(transport.dial(file, signal), {
    code: 'dial-refused',
    hint: /check that the path is a socket$/,
  });
  const inFile = { kind: 'unix', path: join(file.path, 'socket') } as const;
  await assert.rejects(transport.dial(inFile, signal), { code: 'dial-refused' });
  await assert.rejects(transport.listen(file, heard().handlers), {
    code: 'listen-in-use',
    hint: /a file that is no socket/,
  });
});
