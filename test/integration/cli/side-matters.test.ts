import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { test } from 'node:test';
import { CLI, cliOk, Home, scratch } from '../../support/nodes/cli-support.ts';
import { until } from '../../support/sockets/loopback.ts';

const asRoot = process.geteuid?.() === 0 ? false : 'needs root, for a mount namespace';

test('a taken metrics port and a state directory that cannot be written keep a node from nothing', {
  skip: asRoot,
}, async (t) => {
  const thief = createServer().listen(0, '127.0.0.1');
  await once(thief, 'listening');
  t.after(() => thief.close());
  const { port } = thief.address() as AddressInfo;
  const home = new Home(scratch(t), 'gray');
  await cliOk('init', '--site', 'gray', '--listen', '127.0.0.1:0', ...home.made);
  appendFileSync(home.config, `\n[admin]\nmetrics_listen = "127.0.0.1:${port}"\n`);

  const node = `exec "${process.execPath}" "${CLI}" up --config "${home.config}"`;
  const readOnly = `mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && ${node}`;
  const child = spawn('unshare', ['--mount', 'sh', '-c', readOnly, home.state], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  t.after(() => child.kill('SIGKILL'));
  const closed = once(child, 'close');
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  const printed = (pattern: RegExp) => until(`${pattern} is printed`, () => pattern.test(output));
  await printed(/"event":"node-up"/);
  await printed(/"event":"trouble"[^\n]*"what":"admin socket"[^\n]*EROFS/);
  await printed(/"event":"trouble"[^\n]*"what":"metrics"[^\n]*EADDRINUSE/);
  assert.match(output, /listening for lanes on 127\.0\.0\.1:\d+/);
  thief.close();
  await printed(/"event":"metrics-listening"/);
  const metrics = await fetch(`http://127.0.0.1:${port}/metrics`);
  assert.match(await metrics.text(), /^routy_ready\b.* 1$/m);
  child.kill('SIGTERM');
  assert.deepEqual(await closed, [0, null]);
});
