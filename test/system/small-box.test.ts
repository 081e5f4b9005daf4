import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createConnection, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { libc } from '../../packages/link/src/transport/native/libc.ts';
import {
  cliJson,
  cliOk,
  Home,
  Running,
  scratch,
  untilStatus,
} from '../support/nodes/cli-support.ts';
import { onMachine } from '../support/nodes/fake-machine.ts';

const GIB = 1024 ** 3;
const LOAD_BYTES = 2 * GIB;
const STALLED = 100;
/** What a node may hold beyond what it held when it had started, and when that is looked at. */
const LEFT_RATIO_MAX = 1.15;
const LEFT_MS = 45_000;
/** What one that cannot give memory back holds at least, beside one that can. */
const KEPT_RATIO_MIN = 1.1;
/** A node that has just started still gives back what starting took. */
const IDLE_MS = 5_000;

interface Pair {
  readonly socket: string;
  /** Gray, which listens and has the clients, and red, which dials and offers a source. */
  readonly nodes: readonly Running[];
}

test('after 2 GiB beside 100 stalled readers memory goes back to the system', {
  skip: libc()?.trimMemory === undefined && 'malloc_trim is called by way of koffi',
  timeout: 280_000,
}, async (t) => {
  const pair = await startPair(t);
  const bare = await onMachine('no-koffi', () => startPair(t));
  assert.deepEqual([...pair.nodes, ...bare.nodes].map(hasKoffi), [true, true, false, false]);
  await sleep(IDLE_MS);
  const idle = rss(pair);
  const [loaded, bareLoaded] = await Promise.all([load(pair), load(bare)]);
  await sleep(LEFT_MS);
  const [left, kept] = [rss(pair), rss(bare)];
  t.diagnostic(`RSS in MB, listening and dialling: ${mb(idle)} idle`);
  t.diagnostic(`${mb(loaded)} loaded, ${mb(left)} after ${LEFT_MS / 1000} s`);
  t.diagnostic(`without koffi ${mb(bareLoaded)} and ${mb(kept)}`);
  for (const [at, bytes] of left.entries()) {
    assert.ok(bytes <= idle[at]! * LEFT_RATIO_MAX, 'less goes back');
    assert.ok(bytes * KEPT_RATIO_MIN <= kept[at]!, 'it would go back without malloc_trim');
  }
});

function hasKoffi({ pid }: Running): boolean {
  return readFileSync(`/proc/${pid}/maps`, 'latin1').includes('koffi');
}

async function startPair(t: TestContext): Promise<Pair> {
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

/** Gives what the nodes hold with the load still on them. */
async function load(pair: Pair): Promise<number[]> {
  const stalled = await Promise.all(Array.from({ length: STALLED }, () => open(pair.socket)));
  await read(pair.socket, LOAD_BYTES);
  const loaded = rss(pair);
  for (const socket of stalled) socket.destroy();
  return loaded;
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

function rss({ nodes }: Pair): number[] {
  return nodes.map(({ pid }) => {
    const status = readFileSync(`/proc/${pid}/status`, 'latin1');
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
  });
}

function mb(bytes: readonly number[]): string {
  return bytes.map((each) => Math.round(each / 1e6)).join(' and ');
}
