import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  addForward,
  addPeer,
  addService,
  removeForward,
  removeService,
} from '../../../packages/routy/src/config/edit/edit.ts';
import { renderConfig } from '../../../packages/routy/src/config/edit/render.ts';
import { parseConfig } from '../../../packages/routy/src/config/load.ts';

const FILE = `# My node
[node]
name = "red1" # do not rename
site = "red"

# The main database.
[service.postgres]
target = "127.0.0.1:5432"
allow  = ["gray"]
# proxy_protocol = "v2"

[service.redis]
target = "127.0.0.1:6379"
# To gray.
[[forward]]
listen = "127.0.0.1:6432"
to = "gray/postgres"

[[forward]]
listen = "[0::1]:6380"
to = "gray/redis"
`;

test('a service is added at the end, everything else stays', () => {
  const text = addService(FILE, {
    name: 'mysql',
    target: '127.0.0.1:3306',
    allow: ['gray', 'blue/blue1'],
    proxyProtocol: 'v2',
    connectTimeout: '1s',
  });
  assert.equal(
    text,
    `${FILE}
[service.mysql]
target = "127.0.0.1:3306"
allow = ["gray", "blue/blue1"]
proxy_protocol = "v2"
connect_timeout = "1s"
`,
  );
  assert.equal(parseConfig(text).services.get('mysql')?.connectTimeoutMs, 1000);
});

test('a service is removed with its comments, everything else stays', () => {
  assert.equal(
    removeService(FILE, 'postgres'),
    `# My node
[node]
name = "red1" # do not rename
site = "red"

[service.redis]
target = "127.0.0.1:6379"
# To gray.
[[forward]]
listen = "127.0.0.1:6432"
to = "gray/postgres"

[[forward]]
listen = "[0::1]:6380"
to = "gray/redis"
`,
  );
});

test('a comment that heads the next table is not removed with the one before', () => {
  const text = removeService(FILE, 'redis');
  assert.ok(text.includes('# proxy_protocol = "v2"\n# To gray.\n[[forward]]'), text);
});

test('a table at the beginning goes with the empty line below it', () => {
  assert.equal(
    removeService('[service.x]\ntarget = "a:1"\n\n[node]\nname = "n"\n', 'x'),
    '[node]\nname = "n"\n',
  );
});

test('what exists is not added again, unless it is to be replaced', () => {
  const service = { name: 'postgres', target: '10.0.0.1:5432', allow: [] };
  assert.throws(() => addService(FILE, service), {
    code: 'config-exists',
    message: 'there is already a service "postgres"',
    hint: 'remove it first: routy service rm postgres',
  });
  const replaced = parseConfig(addService(FILE, service, { replace: true }));
  assert.deepEqual(replaced.services.get('postgres')?.target, {
    kind: 'tcp',
    host: '10.0.0.1',
    port: 5432,
  });
  assert.equal(replaced.services.size, 2);
  assert.throws(() => addForward(FILE, { listen: '127.0.0.1:6432', to: 'gray/x' }), {
    code: 'config-exists',
    message: 'there is already a forward listening on 127.0.0.1:6432',
  });
});

test('what does not exist is not removed, and the nearest name is offered', () => {
  assert.throws(() => removeService(FILE, 'postgers'), {
    code: 'config-missing',
    message: 'there is no service "postgers"; did you mean "postgres"?',
    hint: undefined,
  });
  assert.throws(() => removeService(FILE, 'mongo'), {
    message: 'there is no service "mongo"',
    hint: 'services: postgres, redis',
  });
  assert.throws(() => removeForward('', '127.0.0.1:1'), {
    message: 'there is no forward listening on 127.0.0.1:1',
    hint: 'the file has no forwards',
  });
});

test('forwards are added and removed by the address they listen on', () => {
  const text = addForward(FILE, {
    listen: '127.0.0.1:9000',
    to: 'gray/x',
    unavailable: 'hold 10s',
  });
  assert.equal(
    text,
    `${FILE}
[[forward]]
listen = "127.0.0.1:9000"
to = "gray/x"
unavailable = "hold 10s"
`,
  );
  const listening = (edited: string) =>
    parseConfig(edited).forwards.map((forward) =>
      forward.listen.kind === 'tcp' ? forward.listen.port : 0,
    );
  assert.deepEqual(listening(removeForward(text, '127.0.0.1:6432')), [6380, 9000]);
  assert.deepEqual(listening(removeForward(text, '127.0.0.1:9000')), [6432, 6380]);
  assert.deepEqual(listening(removeForward(text, '[0::1]:6380')), [6432, 9000]);
});

test('a peer is added with one address or several, none of them twice', () => {
  const one = addPeer(FILE, { addresses: ['gray.example:7443'] });
  const both = addPeer(one, { addresses: ['a:1', '[::1]:2'], via: 'socks5://proxy:1080' });
  assert.deepEqual(
    parseConfig(both).peers.map((peer) => [peer.addresses.length, peer.via]),
    [
      [1, undefined],
      [2, 'socks5://proxy:1080'],
    ],
  );
  assert.throws(() => addPeer(both, { addresses: ['b:1', '[::1]:2'] }), {
    code: 'config-exists',
    message: 'there is already a peer with address [::1]:2',
  });
});

test('line breaks and a missing last one stay as they are', () => {
  const crlf = FILE.replaceAll('\n', '\r\n');
  const added = addService(crlf, { name: 'x', target: 'a:1', allow: [] });
  assert.ok(!/[^\r]\n/.test(added));
  assert.equal(removeService(added, 'x'), crlf);
  const unended = FILE.trimEnd();
  assert.equal(
    removeService(addService(unended, { name: 'x', target: 'a:1', allow: [] }), 'x'),
    unended,
  );
});

test('a layout that only a person can change is refused', () => {
  for (const text of [
    'service = { x = { target = "a:1" } }\n',
    '[service]\nx.target = "a:1"\n',
    'service.x.target = "a:1"\n',
  ]) {
    assert.throws(() => removeService(text, 'x'), { code: 'config-edit' }, text);
  }
  const inline = 'service = { x = { target = "a:1" } }\n';
  assert.throws(() => addService(inline, { name: 'y', target: 'a:1', allow: [] }), {
    code: 'config-edit',
    message: "service y cannot be edited in this file's layout",
  });
});

test('a text that is no TOML, and a name that is none, are refused', () => {
  assert.throws(() => removeService('[node', 'x'), { code: 'config-invalid' });
  assert.throws(() => addService(FILE, { name: 'a.b', target: 'a:1', allow: [] }), {
    code: 'config-invalid',
    message: /^service name "a\.b" is not a name/,
  });
});

test('a fresh file is valid with and without every part', () => {
  const least = parseConfig(renderConfig({ name: 'red1', site: 'red', state: '/srv/a "b"' }));
  assert.equal(least.node.state, '/srv/a "b"');
  assert.equal(least.listen, undefined);
  assert.equal(least.services.size + least.forwards.length + least.peers.length, 0);
  const text = renderConfig({
    name: 'red1',
    site: 'red',
    state: '/var/lib/routy',
    listen: '0.0.0.0:7443',
    peers: [{ addresses: ['gray:7443'] }],
    services: [{ name: 'postgres', target: '127.0.0.1:5432', allow: ['gray'] }],
    forwards: [{ listen: '127.0.0.1:6432', to: 'gray/postgres' }],
  });
  const full = parseConfig(text);
  assert.equal(full.listen?.address.port, 7443);
  assert.equal(full.peers.length, 1);
  assert.deepEqual(full.services.get('postgres')?.allow, ['gray']);
  assert.deepEqual(full.forwards[0]?.to, { site: 'gray', service: 'postgres' });
  const without = removeForward(removeService(text, 'postgres'), '127.0.0.1:6432');
  assert.ok(without.includes("# What this node's site offers"), without);
});
