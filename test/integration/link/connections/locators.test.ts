import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  type Candidate,
  inFamilyOrder,
  Locators,
  NatMap,
} from '../../../../packages/link/src/locators/index.ts';
import { connectAny, raceCandidates } from '../../../../packages/link/src/transport/index.ts';

test('a logical name leads to a connection: located, translated, raced over TCP and a unix socket', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'routy-locators-'));
  const path = join(folder, 'socket');
  const closed = await listening({ host: '127.0.0.1', port: 0 });
  const { port } = closed.address() as AddressInfo;
  closed.close();
  await once(closed, 'close');
  const server = await listening({ path });
  try {
    const tried: string[] = [];
    const locators = new Locators();
    const map = new NatMap([{ inside: '10.7.0.1', outside: '127.0.0.1', peer: 'gray' }]);
    locators.locate('cluster', () =>
      map.candidatesFor('gray', [
        { transport: 'unix', address: { kind: 'unix', path } },
        { transport: 'tcp', address: { kind: 'tcp', host: '10.7.0.1', port } },
      ]),
    );
    const candidates = inFamilyOrder(await locators.resolve({ cluster: 'north' }), 'ipv4');
    const { signal } = new AbortController();
    const dial = (candidate: Candidate, attemptSignal: AbortSignal) => {
      tried.push(candidate.transport);
      return dialled(candidate, attemptSignal);
    };
    const discard = (socket: Socket) => socket.destroy();
    const socket = await raceCandidates(candidates, dial, { signal, discard });
    assert.deepEqual(tried, ['tcp', 'unix']);
    assert.equal(socket.remoteAddress, undefined);
    socket.destroy();
  } finally {
    server.close();
    await rm(folder, { recursive: true });
  }
});

async function listening(at: { path: string } | { host: string; port: number }): Promise<Server> {
  const server = createServer((socket) => socket.on('error', () => {}).resume());
  server.listen(at);
  await once(server, 'listening');
  return server;
}

async function dialled({ address }: Candidate, signal: AbortSignal): Promise<Socket> {
  assert.ok(typeof address === 'object');
  if (address.kind === 'tcp') {
    const { host, port } = address;
    return connectAny({ addresses: [host], port, label: host, use: 'target', signal });
  }
  const socket = connect(address.path);
  await once(socket, 'connect', { signal });
  return socket;
}
