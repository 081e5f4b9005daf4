import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import { CLI, cliOk, Home, Running, scratch } from '../../support/nodes/cli-support.ts';

async function newNode(t: TestContext): Promise<Home> {
  const home = new Home(scratch(t), 'gray');
  await cliOk('init', '--site', 'gray', '--listen', '127.0.0.1:0', ...home.made);
  return home;
}

/** TCP ports of this machine's 127.0.0.1 that somebody listens on, as /proc says. */
function inspectorListens(): boolean {
  // 127.0.0.1:9229 in the kernel's words, state 0A being LISTEN.
  return /0100007F:240D \S+ 0A/.test(readFileSync('/proc/net/tcp', 'utf8'));
}

test('SIGUSR1 opens no debugger, and no stray signal ends the node', async (t) => {
  const home = await newNode(t);
  const node = new Running(t, 'up', ...home.at);
  await node.printed(/"event":"node-up"/);
  node.signal('SIGUSR1');
  await node.printed(/"event":"signal-ignored"[^\n]*SIGUSR1/);
  node.signal('SIGUSR2');
  await node.printed(/"event":"signal-ignored"[^\n]*SIGUSR2/);
  node.signal('SIGPIPE');
  node.signal('SIGHUP');
  await node.printed(/reloaded/);
  assert.doesNotMatch(node.output, /Debugger listening/);
  assert.equal(inspectorListens(), false);
  assert.equal(await node.stop(), 0);
});

test('SIGUSR1 while the program is being read opens no debugger, and SIGHUP is kept', async (t) => {
  const home = await newNode(t);
  // A listener of the test's own would not do: it asks the program itself when its guard stands.
  const node = new Running(t, 'up', ...home.at);
  await node.handles('SIGHUP');
  assert.doesNotMatch(node.output, /node-up/, 'the guard stands before the node is up');
  node.signal('SIGUSR1');
  node.signal('SIGHUP');
  await node.printed(/"event":"node-up"[\s\S]*reloaded/);
  assert.doesNotMatch(node.output, /Debugger listening/);
  assert.equal(await node.stop(), 0);
});

test('SIGTERM during the start ends it by that signal', async (t) => {
  const home = await newNode(t);
  const node = new Running(t, 'up', ...home.at);
  await node.handles('SIGHUP');
  const end = await node.stop('SIGTERM');
  // 0 where the node was quick enough to be up.
  assert.ok(end === 'SIGTERM' || end === 0, String(end));
});

/** What the shipped unit runs between the start of the program and its being started. */
function startPost(): string {
  const unit = readFileSync(new URL('../../../packaging/routy.service', import.meta.url), 'utf8');
  const command = /^ExecStartPost=\/bin\/sh -c '([^']+)'$/m.exec(unit);
  assert.ok(command !== null, 'the unit waits');
  return command[1]!;
}

test('the unit counts as started when SIGHUP no longer ends the node', async (t) => {
  const home = await newNode(t);
  const node = new Running(t, 'up', ...home.at);
  const env = { ...process.env, MAINPID: String(node.pid) };
  const waiting = spawn('/bin/sh', ['-c', startPost()], { env, stdio: 'ignore' });
  assert.deepEqual(await once(waiting, 'close'), [0, null]);
  node.signal('SIGHUP');
  node.signal('SIGUSR1');
  await node.printed(/"event":"node-up"[\s\S]*reloaded/);
  assert.equal(await node.stop(), 0);
});

test('the unit does not wait for a node that has ended', async (t) => {
  const node = new Running(t, 'up', '--config', '/nonexistent/routy.toml');
  await node.exited();
  const env = { ...process.env, MAINPID: String(node.pid) };
  const waiting = spawn('/bin/sh', ['-c', startPost()], { env, stdio: 'ignore' });
  assert.deepEqual(await once(waiting, 'close'), [0, null]);
});

const asRoot = process.geteuid?.() === 0 ? false : 'needs root, for a process namespace';

test('as the first process of a container, signals that come too early do not end it', {
  skip: asRoot,
}, async (t) => {
  const home = await newNode(t);
  const up = ['--pid', '--fork', '--mount-proc', process.execPath, CLI, 'up', ...home.at];
  const child = spawn('unshare', up, { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  const closed = once(child, 'close');
  let output = '';
  let inside = 0;
  // From the first moment on: Node needs longer for its own start than this waits.
  while (inside === 0) {
    inside = Number(readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8'));
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  const hangups = setInterval(() => process.kill(inside, 'SIGHUP'), 1);
  for await (const text of child.stdout.setEncoding('utf8')) {
    output += text;
    if (output.includes('"event":"node-up"')) break;
  }
  clearInterval(hangups);
  assert.match(output, /"event":"node-up"/);
  process.kill(inside, 'SIGTERM');
  assert.deepEqual(await closed, [0, null]);
});

test('as the first process of a container, SIGTERM ends also who waits to be adopted', {
  skip: asRoot,
}, async (t) => {
  const home = new Home(scratch(t), 'gray');
  const waiting = ['up', '--await-adoption', '--listen', '127.0.0.1:0', ...home.made];
  const unshare = ['--pid', '--fork', '--mount-proc', process.execPath, CLI, ...waiting];
  const child = spawn('unshare', unshare, { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  const closed = once(child, 'close');
  await once(child.stdout, 'data');
  const inside = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').trim();
  process.kill(Number(inside), 'SIGHUP');
  process.kill(Number(inside), 'SIGUSR1');
  process.kill(Number(inside), 'SIGTERM');
  const [code] = (await closed) as [number];
  assert.equal(code, 143);
});

test('in the container Node itself opens no inspector, from its first instruction on', () => {
  const dockerfile = readFileSync(new URL('../../../Dockerfile', import.meta.url), 'utf8');
  const image = dockerfile.slice(dockerfile.lastIndexOf('\nFROM '));
  assert.match(image, /^ENV .*\bNODE_OPTIONS=--disable-sigusr1$/m);
  // The option came with Node 22.14.
  assert.ok(Number(/^FROM node:(\d+)/m.exec(image)?.[1]) >= 22);
});
