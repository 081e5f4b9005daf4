import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { KeyLog } from '../../../packages/linux/src/tls/handshake/key-log.ts';

const client = randomBytes(48).toString('hex');
const server = randomBytes(32).toString('hex').toUpperCase();

function line(label: string, secret: string): Buffer {
  return Buffer.from(`${label} ${randomBytes(32).toString('hex')} ${secret}\n`);
}

test('secrets are taken from their lines alone, and the lines are cleared', () => {
  const log = new KeyLog();
  const lines = [
    line('CLIENT_HANDSHAKE_TRAFFIC_SECRET', '00'.repeat(32)),
    line('CLIENT_TRAFFIC_SECRET_0', client),
    line('EXPORTER_SECRET', '00'.repeat(32)),
    line('SERVER_TRAFFIC_SECRET_0', server),
  ];
  for (const each of lines) log.take(each);
  assert.ok(lines.every((each) => each.every((byte) => byte === 0)));
  const secrets = log.release(true)!;
  assert.equal(Buffer.from(secrets.sendSecret).toString('hex'), client);
  assert.equal(Buffer.from(secrets.receiveSecret).toString('hex'), server.toLowerCase());
  assert.equal(log.release(true), undefined, 'once');
});

test('a server sends by its own secret; without both there is none', () => {
  const log = new KeyLog();
  log.take(line('SERVER_TRAFFIC_SECRET_0', server));
  assert.equal(log.release(false), undefined);
  log.take(line('SERVER_TRAFFIC_SECRET_0', server));
  log.take(line('CLIENT_TRAFFIC_SECRET_0', client));
  const secrets = log.release(false)!;
  assert.equal(Buffer.from(secrets.sendSecret).toString('hex'), server.toLowerCase());
  log.take(line('SERVER_TRAFFIC_SECRET_0', server));
  log.clear();
  assert.equal(log.release(false), undefined);
});
