import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { RoutyError } from '../../../packages/proto/src/base/errors.ts';
import { AdminClient } from '../../../packages/routy/src/admin/client.ts';
import { startMetricsListener } from '../../../packages/routy/src/admin/metrics-listener.ts';
import { type AdminHandlers, openAdminSocket } from '../../../packages/routy/src/admin/server.ts';
import type { LogLevel } from '../../../packages/routy/src/config/types.ts';
import type { NodeControl } from '../../../packages/routy/src/status/control.ts';
import type { NodeStatus } from '../../../packages/routy/src/status/status.ts';
import { exampleStatus } from '../../support/nodes/example-status.ts';
import { until } from '../../support/sockets/loopback.ts';

const directory = mkdtempSync(join(tmpdir(), 'routy-admin-'));
after(() => rmSync(directory, { recursive: true, force: true }));
let sockets = 0;
const freshPath = (): string => join(directory, `${sockets++}.sock`);

function fakeControl(over: Partial<NodeControl> = {}): NodeControl {
  let level: LogLevel = 'info';
  return {
    status: exampleStatus,
    reload: async () => ({ applied: true, changes: ['a'], restartRequired: [], streamsReset: 0 }),
    ping: async (target, count) =>
      Array.from({ length: count }, (_, sequence) => {
        return { peer: target, sequence, rttMs: 1, clockOffsetMs: 0 };
      }),
    drain: async () => ({ drained: true, streams: 0 }),
    undrain: () => ({ undrained: true, sessionsWaiting: 0 }),
    logLevel: () => level,
    setLogLevel: (wanted) => {
      level = wanted;
    },
    metricsText: async () => 'routy_lanes 1\n',
    ...over,
  };
}

/** For a socket that is made at once. */
const SOUND: AdminHandlers = {
  onTrouble: (error) => assert.fail(error),
  onMade: () => assert.fail('it was made at once'),
  retryDelayMs: () => 1,
};

async function withAdmin(
  control: NodeControl | undefined,
  use: (client: AdminClient, path: string) => Promise<void>,
): Promise<void> {
  const path = freshPath();
  const server = await openAdminSocket(path, SOUND);
  try {
    if (control !== undefined) server.serve(control);
    await use(new AdminClient(path), path);
  } finally {
    await server.close();
  }
}

/** One raw request, for what the client never sends. */
function raw(path: string, method: string, url: string, body = ''): Promise<[number, string]> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ socketPath: path, method, path: url, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk) => {
        text += chunk;
      });
      response.on('end', () => resolve([response.statusCode ?? 0, text]));
    });
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

test('every call of the client reaches the node and comes back', async () => {
  await withAdmin(fakeControl(), async (client) => {
    assert.deepEqual(await client.status(), exampleStatus());
    assert.equal((await client.reload()).applied, true);
    assert.deepEqual(
      (await client.ping('gray', 2)).map((reply) => [reply.peer, reply.sequence]),
      [
        ['gray', 0],
        ['gray', 1],
      ],
    );
    assert.equal(await client.logLevel(), 'info');
    assert.equal(await client.setLogLevel('debug'), 'debug');
    assert.equal(await client.logLevel(), 'debug');
    assert.equal(await client.metricsText(), 'routy_lanes 1\n');
    assert.deepEqual(await client.drain(), { drained: true, streams: 0 });
    assert.equal((await client.undrain()).undrained, true);
  });
});

test('the socket belongs to its owner alone', async () => {
  await withAdmin(fakeControl(), async (_client, path) => {
    assert.equal(statSync(path).mode & 0o777, 0o600);
  });
});

test('an error of the node keeps its code, message and hint', async () => {
  const refuse = async (): Promise<never> => {
    throw new RoutyError('unknown-site', 'no site blue', { hint: 'known: gray' });
  };
  await withAdmin(fakeControl({ ping: refuse }), async (client) => {
    await assert.rejects(client.ping('blue', 1), {
      code: 'unknown-site',
      message: 'no site blue',
      hint: 'known: gray',
    });
  });
});

test('before the node is there requests are answered with starting', async () => {
  await withAdmin(undefined, async (client) => {
    await assert.rejects(client.status(), { code: 'starting' });
  });
});

test('a second node in the same state directory is refused, a stale socket is replaced', async () => {
  await withAdmin(fakeControl(), async (_client, path) => {
    await assert.rejects(openAdminSocket(path, SOUND), { code: 'already-running' });
  });
  const path = freshPath();
  const stale = createServer();
  await new Promise<void>((resolve) => stale.listen(path, resolve));
  // Closing removes the file, a killed process leaves it: moving it aside meanwhile does the same.
  renameSync(path, `${path}.kept`);
  await new Promise<void>((resolve) => stale.close(() => resolve()));
  renameSync(`${path}.kept`, path);
  const server = await openAdminSocket(path, SOUND);
  server.serve(fakeControl());
  assert.equal((await new AdminClient(path).status()).node, 'red1');
  await server.close();
});

test('a file that is no socket is not removed', async () => {
  const path = freshPath();
  writeFileSync(path, 'precious');
  await assert.rejects(openAdminSocket(path, SOUND), { code: 'admin-path' });
  assert.equal(statSync(path).size, 8);
});

test('a path too long for a socket is refused in words', async () => {
  await assert.rejects(openAdminSocket(`/tmp/${'x'.repeat(120)}/admin.sock`, SOUND), /too long/);
});

test('no node: the client says how to start one', async () => {
  await assert.rejects(new AdminClient(freshPath()).status(), (error: RoutyError) => {
    assert.equal(error.code, 'not-running');
    assert.match(error.hint ?? '', /routy up/);
    return true;
  });
});

test('requests that make no sense are refused with JSON', async () => {
  await withAdmin(fakeControl(), async (_client, path) => {
    const cases: readonly [string, string, string, number, string][] = [
      ['GET', '/nothing', '', 404, 'not-found'],
      ['DELETE', '/status', '', 405, 'method-not-allowed'],
      ['POST', '/ping', '{', 400, 'bad-request'],
      ['POST', '/ping', '{"target":7}', 400, 'bad-request'],
      ['POST', '/ping', '{"target":"gray","count":100000}', 400, 'bad-request'],
      ['PUT', '/log-level', '{"level":"loud"}', 400, 'bad-request'],
      ['PUT', '/log-level', `"${'x'.repeat(17_000)}"`, 413, 'too-large'],
    ];
    for (const [method, url, body, status, code] of cases) {
      const [answered, text] = await raw(path, method, url, body);
      assert.equal(answered, status, `${method} ${url}`);
      assert.equal((JSON.parse(text) as { error: { code: string } }).error.code, code);
    }
  });
});

test('the metrics listener serves figures and health, nothing else', async () => {
  let state: NodeStatus['state'] = 'running';
  let notReady: string[] = [];
  const control = fakeControl({
    status: () => ({ ...exampleStatus(), state, ready: notReady.length === 0, notReady }),
  });
  const listener = await startMetricsListener(
    { kind: 'tcp', host: '127.0.0.1', port: 0 },
    control,
    {
      onListening: () => undefined,
      onError: (error) => assert.fail(error),
    },
  );
  const base = `http://127.0.0.1:${listener.address.port}`;
  try {
    assert.equal(await (await fetch(`${base}/metrics`)).text(), 'routy_lanes 1\n');
    assert.equal((await fetch(`${base}/healthz`)).status, 200);
    assert.equal((await fetch(`${base}/readyz`)).status, 200);
    notReady = ['none of its peers is up'];
    const readyz = await fetch(`${base}/readyz`);
    assert.equal(readyz.status, 503);
    assert.equal(await readyz.text(), 'not ready: none of its peers is up\n');
    assert.equal((await fetch(`${base}/healthz`)).status, 200);
    state = 'draining';
    assert.equal((await fetch(`${base}/healthz`)).status, 503);
    assert.equal((await fetch(`${base}/status`)).status, 404);
    assert.equal((await fetch(`${base}/drain`, { method: 'POST' })).status, 404);
  } finally {
    await listener.close();
  }
});

test('a metrics port that is taken is reported and tried again, and served when it is free', async () => {
  const thief = createServer();
  await new Promise<void>((resolve) => thief.listen(0, '127.0.0.1', resolve));
  const { port } = thief.address() as AddressInfo;
  const codes: string[] = [];
  let listening = false;
  const listener = await startMetricsListener(
    { kind: 'tcp', host: '127.0.0.1', port },
    fakeControl(),
    {
      onListening: () => {
        listening = true;
      },
      onError: ({ code }) => codes.push(code),
      delays: { baseMs: 5, capMs: 10 },
    },
  );
  try {
    await until('it was tried again', () => codes.length >= 2);
    assert.deepEqual(new Set(codes), new Set(['listen-in-use']));
    assert.equal(listening, false);
    thief.close();
    await until('it listens', () => listening);
    assert.equal((await fetch(`http://127.0.0.1:${port}/metrics`)).status, 200);
  } finally {
    await listener.close();
  }
});

test('an admin socket that cannot be made is reported, and made when it can be', async () => {
  const missing = join(directory, 'not-yet');
  const path = join(missing, 'admin.sock');
  const errors: RoutyError[] = [];
  let made = false;
  const server = await openAdminSocket(path, {
    onTrouble: (error) => errors.push(error),
    onMade: () => {
      made = true;
    },
    retryDelayMs: () => 5,
  });
  try {
    server.serve(fakeControl());
    await until('it was tried again', () => errors.length >= 2);
    assert.equal(errors[0]!.code, 'admin-socket');
    mkdirSync(missing);
    await until('it is made', () => made);
    assert.equal((await new AdminClient(path).status()).node, 'red1');
    assert.equal(statSync(path).mode & 0o777, 0o600);
  } finally {
    await server.close();
  }
});
