import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { dialLane } from '../../../packages/link/src/transport/dial.ts';
import { ListeningSocket } from '../../../packages/link/src/transport/tcp/listening-socket.ts';
import type { RoutyError } from '../../../packages/proto/src/base/errors.ts';
import { testCa, testCredentials } from '../../support/certificates.ts';
import { LOOPBACK, until } from '../../support/lanes/lane-pair.ts';

const CHILD = fileURLToPath(new URL('./emfile-process.ts', import.meta.url));
const FILES_MAX = 64;

describe('a listener does not die', { timeout: 60_000 }, () => {
  test('of a process without free descriptors; dialling there says what is missing', async (t) => {
    const ca = await testCa();
    const red = await testCredentials(ca, { site: 'red' });
    const gray = await testCredentials(ca, { site: 'gray' });
    const child = spawn(
      'sh',
      ['-c', `ulimit -n ${FILES_MAX}; exec "$0" --import tsx "$1"`, process.execPath, CHILD],
      {
        stdio: ['pipe', 'pipe', 'inherit'],
        env: { ...process.env, CREDENTIALS: JSON.stringify(gray) },
      },
    );
    t.after(() => child.kill('SIGKILL'));
    const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
    const line = async () => String((await lines.next()).value);
    const ask = async (command: string) => {
      child.stdin.write(`${command}\n`);
      return line();
    };
    const address = { kind: 'tcp', host: '127.0.0.1', port: Number(await line()) } as const;
    assert.ok(address.port > 0);
    assert.equal(await ask('fill'), 'filled EMFILE');
    assert.equal(await ask('dial'), 'failed dial-exhausted');
    const knocks = await Promise.all(Array.from({ length: 20 }, () => knock(address.port)));
    assert.equal(await ask('free'), 'freed');
    for (const socket of knocks) socket.destroy();
    await untilLane(() => dialLane({ address, credentials: red, timeouts: { totalMs: 1000 } }));
    child.stdin.end();
    assert.deepEqual(await once(child, 'exit'), [0, null]);
  });

  for (const [how, kill] of [
    ['when accepting fails', (server: Server) => server.emit('error', emfile())],
    ['when it is closed from underneath', (server: Server) => server.close()],
  ] as const) {
    test(`${how}: it reports, and opens again on the same port`, async () => {
      const errors: RoutyError[] = [];
      const servers: Server[] = [];
      let reopened = 0;
      let connections = 0;
      const listening = new ListeningSocket({
        address: LOOPBACK,
        delays: { baseMs: 1, capMs: 10 },
        onConnection: (socket) => {
          connections += 1;
          socket.destroy();
        },
        onError: (error) => {
          assert.equal(listening.error, error);
          errors.push(error);
        },
        onReopened: () => {
          reopened += 1;
        },
        createServer: ((options: object) => {
          const server = createServer(options);
          servers.push(server);
          return server;
        }) as typeof createServer,
      });
      await listening.open();
      const { port } = listening.address;
      for (let death = 1; death <= 3; death++) {
        kill(servers[servers.length - 1]!);
        await until('the report', () => errors.length === death);
        assert.match(errors[death - 1]!.message, /^cannot listen on 127\.0\.0\.1:\d+: /);
        await until('it is open again', () => reopened === death);
        assert.equal(listening.error, undefined);
        assert.equal(listening.address.port, port);
        (await knock(port)).destroy();
        await until('it accepts', () => connections === death);
      }
      listening.close();
    });
  }

  test('when its port is taken while it is down: it goes on trying', async () => {
    const errors: RoutyError[] = [];
    const servers: Server[] = [];
    let reopened = false;
    const thief = createServer();
    const listening = new ListeningSocket({
      address: LOOPBACK,
      delays: { baseMs: 5, capMs: 10 },
      onConnection: (socket) => socket.destroy(),
      onError: (error) => {
        // Before the first attempt to open again.
        if (errors.push(error) === 1) thief.listen(listening.address.port, '127.0.0.1');
      },
      onReopened: () => {
        reopened = true;
      },
      createServer: ((options: object) => {
        const server = createServer(options);
        servers.push(server);
        return server;
      }) as typeof createServer,
    });
    await listening.open();
    servers[0]!.close();
    await until('several attempts', () => errors.length >= 3);
    assert.equal(errors[2]!.code, 'listen-in-use');
    thief.close();
    await until('it is open again', () => reopened);
    listening.close();
  });

  test('closed means closed, also while it waits to open again', async () => {
    const servers: Server[] = [];
    let errors = 0;
    const listening = new ListeningSocket({
      address: LOOPBACK,
      delays: { baseMs: 20, capMs: 20 },
      onConnection: (socket) => socket.destroy(),
      onError: () => {
        errors += 1;
      },
      onReopened: () => assert.fail('it opened again'),
      createServer: ((options: object) => {
        const server = createServer(options);
        servers.push(server);
        return server;
      }) as typeof createServer,
    });
    await listening.open();
    servers[0]!.emit('error', emfile());
    assert.equal(errors, 1);
    listening.close();
    await until('the delay is over', laterThan(60));
    assert.equal(servers.length, 1);
  });
});

function emfile(): Error {
  return Object.assign(new Error('accept EMFILE'), { code: 'EMFILE' });
}

async function knock(port: number): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port });
  await new Promise<void>((resolve) => {
    socket.once('connect', () => resolve());
    socket.once('error', () => resolve());
  });
  socket.on('error', () => undefined);
  return socket;
}

/** Dials until a lane comes up: the listener may be waiting to open again. */
async function untilLane(dial: () => ReturnType<typeof dialLane>): Promise<void> {
  const deadline = Date.now() + 10_000;
  for (;;) {
    try {
      (await dial()).destroy();
      return;
    } catch (error) {
      if (Date.now() > deadline) throw error;
    }
  }
}

function laterThan(ms: number): () => boolean {
  const at = performance.now() + ms;
  return () => performance.now() > at;
}
