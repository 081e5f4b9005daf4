import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type Options, readOptions } from '../../../bench/options.ts';
import { Progress } from '../../../bench/progress.ts';
import { measureIdlePeers } from '../../../bench/sections/idle.ts';
import type { TunnelKind } from '../../../bench/tunnels/tunnel.ts';

/** An echo on a free port that may treat its `n`th connection otherwise. */
async function startEcho(t: TestContext, onSocket: (socket: Socket, n: number) => void) {
  const sockets = new Set<Socket>();
  let count = 0;
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {}).on('close', () => sockets.delete(socket));
    socket.pipe(socket);
    onSocket(socket, ++count);
  });
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return (server.address() as AddressInfo).port;
}

/** A tunnel of this process, whose port leads to the echo. */
function kindAt(name: string, port: number): TunnelKind {
  return {
    name,
    note: 'a test',
    missing: () => null,
    start: () =>
      Promise.resolve({
        ...{ name, ports: { bulk: port, echo: port }, failure: () => null },
        pids: { red: [process.pid], gray: [] },
        stop: () => Promise.resolve(),
      }),
  };
}

async function measure(t: TestContext, kinds: readonly TunnelKind[], idleSteps: readonly number[]) {
  const dir = mkdtempSync(join(tmpdir(), 'routy-bench-idle-'));
  t.after(() => rmSync(dir, { recursive: true }));
  const usual = readOptions(['--only', 'idle']);
  assert.ok(usual);
  const options: Options = { ...usual, idleSteps, idleSettleMs: 1, idleAfterMs: 1 };
  const problems: string[] = [];
  const figures = await measureIdlePeers({
    ...{ dir, options, kinds, services: { bulk: 0, echo: 0 } },
    progress: new Progress([], () => {}),
    problem: (text) => problems.push(text),
  });
  return { figures, problems };
}

/** Closes what comes while it holds so many. */
async function startFullAt(t: TestContext, limit: number): Promise<number> {
  const open = new Set<Socket>();
  return startEcho(t, (socket) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
    if (open.size > limit) socket.destroy();
  });
}

test('of a peer that closes connections as many are measured as it held, and then the next peer', async (t) => {
  const kinds = [
    kindAt('rathole', await startFullAt(t, 100)),
    kindAt('bore', await startEcho(t, () => {})),
  ];
  const { figures, problems } = await measure(t, kinds, [50, 200, 300]);
  assert.deepEqual(problems, []);
  const [held, full, ...more] = figures.get('rathole')?.steps ?? [];
  assert.deepEqual([held?.streams, held?.closed], [50, 0]);
  assert.ok(full !== undefined && full.streams <= 100 && full.closed > 0);
  assert.match(full.closedWhy, /ECONNRESET|closed by the other side/);
  assert.deepEqual(more, []);
  assert.deepEqual(
    figures.get('bore')?.steps.map(({ streams, closed }) => [streams, closed]),
    [50, 200, 300].map((streams) => [streams, 0]),
  );
});

test('a peer that holds nothing is told about, and the next is measured', async (t) => {
  const kinds = [
    kindAt('rathole', await startFullAt(t, 0)),
    kindAt('bore', await startEcho(t, () => {})),
  ];
  const { figures, problems } = await measure(t, kinds, [50]);
  assert.equal(problems.length, 1);
  assert.match(problems[0]!, /^rathole: idle streams: none of 50 was held: /);
  assert.deepEqual([...figures.keys()], ['bore']);
});
