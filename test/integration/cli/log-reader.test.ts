import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { appendFileSync, closeSync, constants, openSync } from 'node:fs';
import { createConnection, Socket } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { NodeStatus, PingReply } from '../../../packages/routy/src/status/status.ts';
import { startGray } from './cli-pair.ts';
import {
  CLI,
  cli,
  cliJson,
  cliOk,
  echoServer,
  Home,
  scratch,
  untilStatus,
} from '../../support/nodes/cli-support.ts';

/** Connections at a time, each of which makes a line. */
const ROUND = 50;
/** Far more than a pipe, a socket and the node's buffer hold together. */
const ROUNDS_MAX = 200;

/** The node's standard output, and the reader of it, which begins when it is told to. */
interface Stdout {
  readonly forChild: 'pipe' | number;
  read(child: { readonly stdout: Socket | null }): Socket;
}

/** Child processes get one end of a pair of unix sockets, as from a journal. */
const unixSocket = (): Stdout => ({ forChild: 'pipe', read: (child) => child.stdout! });

function pipe(t: TestContext, directory: string): Stdout {
  const path = join(directory, 'log.fifo');
  execFileSync('mkfifo', [path]);
  // Opened for both, so that neither end waits for the other to be opened.
  const reading = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  const writing = openSync(path, constants.O_WRONLY);
  t.after(() => closeSync(writing));
  const reader = new Socket({ fd: reading, readable: true, writable: false });
  t.after(() => reader.destroy());
  return { forChild: writing, read: () => reader };
}

const statusOf = (home: Home): Promise<NodeStatus> => cliJson('status', ...home.at);

/** Connects and says what came of it. */
function talk(path: string, line: string): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    const socket = createConnection(path, () => socket.end(line));
    socket.on('data', (chunk) => {
      text += chunk.toString();
    });
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(text));
  });
}

for (const [kind, format] of [
  ['pipe', 'json'],
  ['unix socket', 'pretty'],
] as const) {
  test(`a ${kind} that nobody reads does not stop the node, in ${format}`, async (t) => {
    await stalledReader(t, kind, format);
  });
}

async function stalledReader(
  t: TestContext,
  kind: 'pipe' | 'unix socket',
  format: 'json' | 'pretty',
): Promise<void> {
  const directory = scratch(t);
  const [gray, red] = [new Home(directory, 'gray'), new Home(directory, 'red')];
  const paths = { echo: join(directory, 'echo.sock'), dead: join(directory, 'dead.sock') };
  const forwards = [`unix:${paths.echo}=red/echo`, `unix:${paths.dead}=red/dead`];
  const { joinLine } = await startGray(t, gray, ...forwards);
  const services = ['--service', `echo=${await echoServer(t)}`, '--allow', 'gray'];
  const dead = ['--service', `dead=unix:${join(directory, 'nobody.sock')}`];
  await cliOk('join', joinLine, '--node', 'red1', ...red.made, ...services, ...dead);
  appendFileSync(red.config, `\n[log]\nlevel = "debug"\nformat = "${format}"\n`);

  const stdout = kind === 'pipe' ? pipe(t, directory) : unixSocket();
  const child = spawn(process.execPath, [CLI, 'up', ...red.at], {
    stdio: ['ignore', stdout.forChild, 'inherit'],
  });
  const exited = new Promise((resolve) => child.on('exit', resolve));
  t.after(async () => {
    child.kill('SIGKILL');
    await exited;
  });
  await untilStatus(gray, ({ forwards }) => forwards.every(({ state }) => state === 'listening'));
  const [before] = (await statusOf(gray)).peers;

  let lost = 0;
  for (let round = 0; lost === 0; round++) {
    assert.ok(round < ROUNDS_MAX, 'the reader was never too slow');
    await Promise.all(Array.from({ length: ROUND }, () => talk(paths.dead, '')));
    if (round % 10 === 9) lost = (await statusOf(red)).log.lostLines;
  }
  assert.equal(await talk(paths.echo, 'hello'), 'hello');
  const replies = await cliJson<PingReply[]>('ping', 'red', '--count', '2', ...gray.at);
  assert.equal(replies.length, 2);
  const [after] = (await statusOf(gray)).peers;
  assert.equal(after!.session!.id, before!.session!.id);
  assert.equal(after!.session!.epoch, before!.session!.epoch);
  assert.notEqual((await statusOf(red)).log.losingSince, null);

  let text = '';
  const told = new Promise<void>((resolve) => {
    stdout.read(child as { stdout: Socket | null }).on('data', (chunk) => {
      text += chunk.toString();
      if (text.includes('lines of this log were lost')) resolve();
    });
  });
  await told;
  await untilStatus(red, ({ log }) => log.losingSince === null);
  child.kill('SIGTERM');
  await exited;
  const lines = text.split('\n').filter((line) => line !== '');
  if (format === 'pretty') {
    assert.ok(lines.every((line) => /^\[\d\d:\d\d:\d\d\.\d+\] [A-Z]+: /.test(line)));
    return;
  }
  const events = lines.map((line) => JSON.parse(line) as { event: string; lines?: number });
  const [gap] = events.filter(({ event }) => event === 'log-lost');
  assert.ok(gap!.lines! >= lost);
}

test('a reader that has gone neither stops the node nor keeps it from ending', async (t) => {
  const directory = scratch(t);
  const home = new Home(directory, 'gray');
  const listen = ['--listen', '127.0.0.1:0'];
  await cliOk('init', '--site', 'gray', '--node', 'gray1', ...listen, ...home.made);
  const child = spawn(process.execPath, [CLI, 'up', ...home.at], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = new Promise((resolve) => child.on('exit', resolve));
  t.after(() => child.kill('SIGKILL'));
  child.stdout!.destroy();
  // Until its admin socket is there the command fails.
  while ((await cli('status', ...home.at)).code !== 0) assert.equal(child.exitCode, null);
  await untilStatus(home, ({ log }) => log.lostLines > 0);
  child.kill('SIGTERM');
  assert.equal(await exited, 0);
});
