import assert from 'node:assert/strict';
import { test } from 'node:test';
import { diffConfigs } from '../../../packages/routy/src/config/diff.ts';
import { parseConfig } from '../../../packages/routy/src/config/load.ts';

const BASE = `[node]
name = "red1"
site = "red"
[listen]
address = "127.0.0.1:7443"
[[peer]]
address = "gray:7443"
[service.postgres]
target = "127.0.0.1:5432"
allow = ["gray"]
[service.redis]
target = "127.0.0.1:6379"
[[forward]]
listen = "127.0.0.1:6432"
to = "gray/postgres"
[fabric]
heartbeat_interval = "5s"
[log]
level = "info"
`;

function diff(...replacements: [string, string][]) {
  let text = BASE;
  for (const [from, to] of replacements) {
    assert.ok(text.includes(from), from);
    text = text.replace(from, to);
  }
  return diffConfigs(parseConfig(BASE), parseConfig(text));
}

test('the same file, and the same values in another order or spelling, change nothing', () => {
  for (const same of [
    diff(),
    diff(['"5s"', '"5000ms"']),
    diff(['[log]\nlevel = "info"\n', '']),
    diff(
      ['[service.redis]\ntarget = "127.0.0.1:6379"\n', ''],
      ['[service.postgres]', '[service.redis]\ntarget = "127.0.0.1:6379"\n[service.postgres]'],
    ),
  ]) {
    assert.deepEqual(same.live, []);
    assert.deepEqual(same.restartRequired, []);
  }
});

test('services, forwards, peers, log level and drain time apply live', () => {
  const changes = diff(
    ['[service.redis]', '[service.mysql]'],
    ['allow = ["gray"]', 'allow = ["gray", "blue"]\nconnect_timeout = "1s"'],
    ['to = "gray/postgres"', 'to = "gray/mysql"'],
    ['"gray:7443"', '"blue:7443"'],
    ['"info"', '"debug"'],
    ['site = "red"', 'site = "red"\ndrain_timeout = "10s"'],
  );
  assert.deepEqual(changes.live, [
    'service mysql: added',
    'service postgres: changed allow, connect_timeout',
    'service redis: removed',
    'forward 127.0.0.1:6432: changed to',
    'peer blue:7443: added',
    'peer gray:7443: removed',
    'log.level: info to debug',
    'node.drain_timeout: 3s to 10s',
  ]);
  assert.deepEqual(changes.restartRequired, []);
  assert.deepEqual(
    changes.services.added.map((service) => service.name),
    ['mysql'],
  );
  assert.deepEqual(
    changes.services.changed.map(({ before, after }) => [before.allow, after.allow]),
    [[['gray'], ['gray', 'blue']]],
  );
  assert.deepEqual(
    changes.forwards.changed.map(({ after }) => after.to.service),
    ['mysql'],
  );
});

test('another way to a peer is another peer, and its password stays out of the words', () => {
  const changes = diff(['"gray:7443"', '"gray:7443"\nvia = "http://u:secret@proxy:3128"']);
  assert.deepEqual(changes.live, ['peer gray:7443: added', 'peer gray:7443: removed']);
});

test('other lanes change a peer in place', () => {
  const changes = diff(['"gray:7443"', '"gray:7443"\nlanes = 4']);
  assert.deepEqual(changes.live, ['peer gray:7443: changed lanes']);
  assert.deepEqual(changes.restartRequired, []);
  const { added, removed, changed } = changes.peers;
  assert.deepEqual([added, removed], [[], []]);
  assert.deepEqual(
    changed.map(({ before, after }) => [before.lanes, after.lanes]),
    [[2, 4]],
  );
  const moved = diff(['"gray:7443"', '"gray:7444"\nlanes = 4']);
  assert.equal(moved.peers.changed.length, 0);
});

test('the address for lanes moves, goes and comes', () => {
  const table = '[listen]\naddress = "127.0.0.1:7443"\n';
  const moved = diff(['127.0.0.1:7443', '0.0.0.0:7444']);
  assert.deepEqual(moved.live, ['listen.address: 127.0.0.1:7443 to 0.0.0.0:7444']);
  assert.deepEqual(moved.restartRequired, []);
  assert.deepEqual(diff([table, '']).live, ['listen 127.0.0.1:7443: removed']);
  const without = parseConfig(BASE.replace(table, ''));
  assert.deepEqual(diffConfigs(without, parseConfig(BASE)).live, ['listen 127.0.0.1:7443: added']);
});

test('the rest needs a restart, each key by its name in the file', () => {
  const changes = diff(
    ['name = "red1"', 'name = "red2"'],
    ['site = "red"', 'site = "blue"\nstate = "/srv/routy"\ndata_plane = "native"'],
    [
      'heartbeat_interval = "5s"',
      'heartbeat_interval = "1s"\nheartbeat_misses = 4\nresume_time = "2m"',
    ],
    [
      'level = "info"',
      `format = "json"
[admin]
metrics_listen = "127.0.0.1:9443"
[limits]
stream_window = "1MiB"
session_buffer = "2MiB"
process_buffer = "3MiB"
streams = 5`,
    ],
  );
  assert.deepEqual(changes.live, []);
  assert.deepEqual(changes.restartRequired, [
    'node.name',
    'node.site',
    'node.state',
    'node.data_plane',
    'fabric.heartbeat_interval',
    'fabric.heartbeat_misses',
    'fabric.resume_time',
    'limits.stream_window',
    'limits.session_buffer',
    'limits.process_buffer',
    'limits.streams',
    'admin.metrics_listen',
    'log.format',
  ]);
});
