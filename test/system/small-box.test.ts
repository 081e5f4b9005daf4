import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createConnection, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { cliJson, cliOk, Home, Running, scratch, untilStatus } from '../integration/cli-support.ts';
import { libc } from '../../src/transport/libc.ts';

const GIB = 1024 ** 3;
const LOAD_BYTES = 2 * GIB;
const STALLED = 100;
/** What a node may hold beyond what it held when idle, and when that is looked at. */
const LEFT_RATIO_MAX = 1.15;
const LEFT_MS_MAX = 60_000;
/** A node that has just started still gives back what starting took. */
const IDLE_MS = 5_000;

test('after 2 GiB beside 100 stalled readers memory goes back to the system', {
  timeout: 280_000,
}, async (t) => {
  const pair = await startPair(t);
  // The code of carrying is loaded and compiled: that is an idle node.
  await read(pair.socket, 16 * 1024 * 1024);
  await sleep(IDLE_MS);
  const idle = rss(pair.nodes);
  const stalled = await Promise.all(Array.from({ length: STALLED }, () => open(pair.socket)));
  await read(pair.socket, LOAD_BYTES);
  const loaded = rss(pair.nodes);
  for (const socket of stalled) socket.destroy();
  const startedAt = performance.now();
  let left = loaded;
  while (performance.now() - startedAt < LEFT_MS_MAX) {
    await sleep(1_000);
    left = rss(pair.nodes);
    if (left.every((bytes, at) => bytes <= idle[at]! * LEFT_RATIO_MAX)) break;
  }
  const seconds = Math.round((performance.now() - startedAt) / 1000);
  t.diagnostic(`RSS in MB, dialled and offered: idle ${mb(idle)}; loaded ${mb(loaded)}`);
  t.diagnostic(`${seconds} s later: ${mb(left)}`);
  if (libc()?.trimMemory === undefined) {
    // The allocator keeps what it likes, but no more than the load took.
    assert.ok(
      left.every((bytes, at) => bytes <= loaded[at]!),
      mb(left),
    );
    return;
  }
  assert.ok(
    left.every((bytes, at) => bytes <= idle[at]! * LEFT_RATIO_MAX),
    mb(left),
  );
});

/** Gray listens and has the clients; red dials, and offers a source without end. */
async function startPair(t: TestContext): Promise<{ socket: string; nodes: Running[] }> {
  const directory = scratch(t);
  const gray = new Home(directory, 'gray');
  const red = new Home(directory, 'red');
  const socket = join(directory, 'source.sock');
  await cliOk(
    ...['init', '--site', 'gray', '--node', 'gray1', '--listen', '127.0.0.1:0', ...gray.made],
    ...['--forward', `unix:${socket}=red/source`],
  );
  const grayUp = new Running(t, 'up', ...gray.at);
  const [, address] = await grayUp.printed(/listening for lanes on (127\.0\.0\.1:\d+)/);
  const invite = ['invite', 'red', '--address', address!, ...gray.at];
  const { joinLine } = await cliJson<{ joinLine: string }>(...invite);
  const redUp = new Running(
    t,
    ...['join', joinLine, '--node', 'red1', '--up', ...red.made],
    ...['--service', `source=${await startSource(t)}`, '--allow', 'gray'],
  );
  await untilStatus(gray, ({ forwards }) => forwards[0]?.state === 'listening');
  return { socket, nodes: [grayUp, redUp] };
}

/** Writes to each client as fast as that reads. */
async function startSource(t: TestContext): Promise<string> {
  const chunk = new Uint8Array(256 * 1024);
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    const fill = (): void => {
      while (!socket.destroyed && socket.write(chunk));
    };
    sockets.add(socket);
    socket.on('error', () => {}).on('drain', fill);
    fill();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  return `127.0.0.1:${address.port}`;
}

/** Connects and reads only the first bytes. */
async function open(path: string): Promise<Socket> {
  const socket = createConnection(path);
  socket.on('error', () => {});
  await once(socket, 'data');
  socket.pause();
  return socket;
}

async function read(path: string, bytes: number): Promise<void> {
  const socket = createConnection(path);
  let left = bytes;
  for await (const chunk of socket) {
    left -= (chunk as Buffer).length;
    if (left <= 0) return;
  }
  assert.fail(`${left} of ${bytes} bytes are missing`);
}

function rss(nodes: readonly Running[]): number[] {
  return nodes.map(({ pid }) => {
    const status = readFileSync(`/proc/${pid}/status`, 'latin1');
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
  });
}

function mb(bytes: readonly number[]): string {
  return bytes.map((each) => Math.round(each / 1e6)).join(' and ');
}
