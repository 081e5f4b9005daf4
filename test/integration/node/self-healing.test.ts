import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, Server, type Socket } from 'node:net';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { NativeSockets } from '../../../packages/linux/src/sockets/native-sockets.ts';
import type { Address } from '../../../packages/proto/src/base/address.ts';
import { openAdminSocket } from '../../../packages/routy/src/admin/server.ts';
import { LocalListener } from '../../../packages/routy/src/forwards/local-listener.ts';
import type { MakeLocalServer } from '../../../packages/routy/src/forwards/local-server.ts';
import { until } from '../../support/lanes/lane-pair.ts';
import { planeMissing, testPlane } from '../../support/linux/native-plane.ts';

/** Something that listens, until the test ends. */
interface Listening {
  /** Where it listens now. */
  address(): Address;
  /** How often it has told of a failure, and that it is there again. */
  readonly told: { failures: number; recoveries: number };
}

/** Servers in the order in which they were told to listen. */
function watchServers(t: TestContext): Server[] {
  const servers: Server[] = [];
  const { listen } = Server.prototype;
  t.mock.method(Server.prototype, 'listen', function (this: Server, ...args: unknown[]) {
    servers.push(this);
    return Reflect.apply(listen, this, args);
  });
  return servers;
}

function scratch(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'routy-healing-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

async function forwardAt(
  t: TestContext,
  address: Address,
  makeServer?: MakeLocalServer,
): Promise<Listening> {
  const told = { failures: 0, recoveries: 0 };
  let listening = false;
  const listener: LocalListener = new LocalListener(
    address,
    {
      onSocket: (socket) => socket.destroy(),
      onState: () => {
        if (listening && !listener.listening) told.failures += 1;
        if (!listening && listener.listening) told.recoveries += 1;
        listening = listener.listening;
      },
      onAcceptError: () => undefined,
    },
    { retryDelayMs: () => 5, makeServer },
    { owner: undefined, group: undefined, mode: undefined },
  );
  t.after(() => listener.close());
  listener.open();
  await until('it listens', () => listener.listening);
  told.recoveries = 0;
  return { address: () => listener.address, told };
}

async function adminSocket(t: TestContext): Promise<Listening> {
  const told = { failures: 0, recoveries: 0 };
  const path = join(scratch(t), 'admin.sock');
  const server = await openAdminSocket(path, {
    onTrouble: () => {
      told.failures += 1;
    },
    onMade: () => {
      told.recoveries += 1;
    },
    retryDelayMs: () => 5,
  });
  t.after(() => server.close());
  return { address: () => ({ kind: 'unix', path }), told };
}

const KINDS: Readonly<Record<string, (t: TestContext) => Promise<Listening>>> = {
  "a forward's TCP address": (t) => forwardAt(t, { kind: 'tcp', host: '127.0.0.1', port: 0 }),
  "a forward's unix socket": (t) =>
    forwardAt(t, { kind: 'unix', path: join(scratch(t), 'forward.sock') }),
  'the admin socket': adminSocket,
};

const DEATHS: Readonly<Record<string, (server: Server) => void>> = {
  'when accepting fails': (server) =>
    server.emit('error', Object.assign(new Error('accept EMFILE'), { code: 'EMFILE' })),
  'when it is closed from underneath': (server) => server.close(),
};

for (const [kind, start] of Object.entries(KINDS)) {
  for (const [how, kill] of Object.entries(DEATHS)) {
    test(`${kind}, ${how}: it says so, and is open again at the same place`, async (t) => {
      const servers = watchServers(t);
      const { address, told } = await start(t);
      const before = address();
      for (let death = 1; death <= 3; death++) {
        kill(servers.at(-1)!);
        await until('it has failed', () => told.failures === death);
        await until('it is there again', () => told.recoveries === death);
        assert.deepEqual(address(), before);
        await knock(address());
      }
    });
  }
}

for (const path of [undefined, 'forward.sock']) {
  const kind = path === undefined ? 'TCP address' : 'unix socket';
  test(`a forward's ${kind} on the native plane, when accepting fails: it is open again at the same place`, {
    skip: planeMissing,
  }, async (t) => {
    const plane = testPlane();
    const sockets = new NativeSockets(plane);
    const { address, told } = await forwardAt(
      t,
      path === undefined
        ? { kind: 'tcp', host: '127.0.0.1', port: 0 }
        : { kind: 'unix', path: join(scratch(t), path) },
      (handlers) => sockets.server(handlers),
    );
    const before = address();
    for (let death = 1; death <= 3; death++) {
      const accept = t.mock.method(plane.system, 'accept', () => -constants.errno.EMFILE);
      const early = dial(before);
      await until('it has failed', () => told.failures === death);
      accept.mock.restore();
      await until('it is there again', () => told.recoveries === death);
      early.destroy();
      assert.deepEqual(address(), before);
      await knock(before);
    }
  });
}

function dial(address: Address): Socket {
  const socket =
    address.kind === 'tcp' ? connect(address.port, address.host) : connect(address.path);
  return socket.on('error', () => undefined);
}

async function knock(address: Address): Promise<void> {
  const socket = dial(address);
  await once(socket, 'connect');
  socket.destroy();
}
