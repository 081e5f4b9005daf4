import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { formatAddress } from '../../../../packages/proto/src/base/address.ts';
import { onEachPlane } from '../../../support/nodes/data-planes.ts';
import {
  credentials,
  forward,
  LabNode,
  LISTEN,
  peerTo,
  service,
} from '../../../support/nodes/node-lab.ts';
import { echo, serve, talk, until } from '../../../support/sockets/loopback.ts';

const directory = mkdtempSync(join(tmpdir(), 'routy-access-'));
after(() => rmSync(directory, { recursive: true, force: true }));

const isRoot = process.geteuid?.() === 0;

/** Red dials gray, whose service `db` echoes; both with what is added. */
async function pair(more: { service?: string; forward: string }) {
  const seen: (string | undefined)[] = [];
  const target = await serve((socket) => {
    seen.push(socket.remoteAddress);
    echo(socket);
  });
  const gray = await LabNode.start(
    await credentials('gray'),
    LISTEN + service('db', formatAddress(target.address), 'red', more.service),
  );
  const red = await LabNode.start(await credentials('red'), peerTo(gray) + more.forward);
  const stop = async () => {
    await Promise.all([red.stop(), gray.stop()]);
    await target.close();
  };
  return { red, gray, seen, stop };
}

onEachPlane(() => {
  test('a forward takes the clients that it lists; others are reset, counted and logged once', async () => {
    const listed = `${forward('127.0.0.1:0', 'gray/db')}clients = ["127.0.0.2", "10.0.0.0/8"]\n`;
    const { red, stop } = await pair({ forward: listed });
    const address = await red.reach('gray/db');
    for (let client = 0; client < 3; client++) {
      const { error, data } = await talk(address, 'hello');
      assert.equal(data.length, 0);
      assert.equal(error, 'ECONNRESET');
    }
    assert.equal(red.forward('gray/db').refused, 3);
    assert.match(red.forward('gray/db').last?.detail ?? '', /127\.0\.0\.1 is not in clients/);
    const lines = red.lines.filter(({ event }) => event === 'forward-refused');
    assert.equal(lines.length, 1);
    assert.equal(lines[0]!.code, 'client-not-listed');
    await red.reload(
      `${red.toml.split('[[forward]]')[0]}${listed.replace('127.0.0.2', '127.0.0.1')}`,
    );
    const again = await red.reach('gray/db');
    assert.equal((await talk(again, 'hello')).data.toString(), 'hello');
    await stop();
  });

  test('a service has a source address of its own, which the target sees', {
    skip: process.platform !== 'linux',
  }, async () => {
    const { red, gray, seen, stop } = await pair({
      service: 'source = "127.0.0.9"',
      forward: forward('127.0.0.1:0', 'gray/db'),
    });
    const address = await red.reach('gray/db');
    assert.equal((await talk(address, 'hello')).data.toString(), 'hello');
    assert.deepEqual(seen, ['127.0.0.9']);
    await gray.reload(gray.toml.replace('target = "127.0.0.1:', 'target = "localhost:'));
    assert.equal((await talk(address, 'hello')).data.toString(), 'hello');
    assert.deepEqual(seen, ['127.0.0.9', '127.0.0.9'], 'also by name');
    await gray.reload(gray.toml.replace('127.0.0.9', '192.0.2.77'));
    assert.equal((await talk(address, 'hello')).error, 'ECONNRESET');
    const { last } = gray.running.status().services[0]!;
    assert.match(last?.detail ?? '', /from 192\.0\.2\.77.*EADDRNOTAVAIL/);
    await stop();
  });

  test('owner, group and mode of a unix socket, and of the same one after a reload', async () => {
    const path = join(directory, 'db.sock');
    const owner = isRoot ? 12_345 : process.getuid!();
    const group = isRoot ? 23_456 : process.getgid!();
    const access = (mode: string): string =>
      `${forward(`unix:${path}`, 'gray/db')}socket_owner = "${owner}"\nsocket_group = "${group}"\nsocket_mode = "${mode}"\n`;
    const { red, stop } = await pair({ forward: access('0600') });
    const address = await red.reach('gray/db');
    const facts = () => {
      const { mode, uid, gid } = statSync(path);
      return [mode & 0o777, uid, gid];
    };
    assert.deepEqual(facts(), [0o600, owner, group]);
    assert.equal((await talk(address, 'hello')).data.toString(), 'hello');
    await red.reload(red.toml.replace('0600', '0666'));
    assert.deepEqual(facts(), [0o666, owner, group]);
    await stop();
  });

  test('a socket that cannot be given away is not opened at all, and why is said', async () => {
    const path = join(directory, 'denied.sock');
    const unknown = `${forward(`unix:${path}`, 'gray/db')}socket_owner = "nobody-of-this-name"\n`;
    const { red, stop } = await pair({ forward: unknown });
    await until('it fails', () => red.forward('gray/db').state === 'error');
    assert.match(red.forward('gray/db').reason ?? '', /there is no user "nobody-of-this-name"/);
    const line = red.lines.find(({ event }) => event === 'forward-error');
    assert.match(String(line?.hint), /getent passwd/);
    assert.equal(statSync(path, { throwIfNoEntry: false }), undefined);
    await stop();
  });

  test('root by name', { skip: !isRoot }, async () => {
    const path = join(directory, 'root.sock');
    const named = `${forward(`unix:${path}`, 'gray/db')}socket_owner = "root"\nsocket_group = "root"\n`;
    const { red, stop } = await pair({ forward: named });
    await red.reach('gray/db');
    assert.equal(statSync(path).uid, 0);
    assert.equal(statSync(path).mode & 0o777, 0o660);
    await stop();
  });
});
