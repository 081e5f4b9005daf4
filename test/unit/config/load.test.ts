import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inspectConfig, loadConfig, parseConfig } from '../../../packages/routy/src/config/load.ts';
import { ConfigError, renderProblems } from '../../../packages/routy/src/config/toml/problems.ts';

const NODE = '[node]\nname = "red1"\nsite = "red"\n';

test('the smallest file gets every default', () => {
  assert.deepEqual(parseConfig(NODE), {
    node: { name: 'red1', site: 'red', state: '/var/lib/routy', drainMs: 3000, dataPlane: 'auto' },
    listen: undefined,
    peers: [],
    services: new Map(),
    forwards: [],
    fabric: { heartbeatIntervalMs: 5000, heartbeatMisses: 3, resumeTimeMs: 60_000 },
    limits: {
      streamWindow: 4 * 2 ** 20,
      sessionBuffer: 256 * 2 ** 20,
      processBuffer: 256 * 2 ** 20,
      streams: 16_384,
    },
    admin: { metricsListen: undefined },
    log: { level: 'info', format: 'auto' },
  });
});

test('every key is read', () => {
  const config = parseConfig(`
    [node]
    name = "red1"
    site = "red"
    state = "/srv/routy"
    drain_timeout = "1m"
    data_plane = "native"
    [listen]
    address = "[::]:7443"
    advertise = ["gray.example:443"]
    [[peer]]
    address = "gray.example:7443"
    via = "http://user:secret@proxy.example:3128"
    lanes = 16
    [[peer]]
    addresses = ["10.0.0.1:7443", "[fd00::1]:7443"]
    [service.postgres]
    target = "127.0.0.1:5432"
    allow = ["gray", "blue/blue1"]
    proxy_protocol = "v2"
    source = "127.0.0.9"
    connect_timeout = "500ms"
    keepalive = "10s"
    [service.app]
    target = "unix:/run/app.sock"
    [[forward]]
    listen = "127.0.0.1:6432"
    to = "gray/postgres"
    unavailable = "hold 10s"
    clients = ["127.0.0.1", "10.0.0.0/8"]
    [[forward]]
    listen = "unix:/run/routy/redis.sock"
    to = "gray/redis"
    connect_timeout = "10m"
    keepalive = "0s"
    socket_owner = "redis"
    socket_group = "33"
    socket_mode = "0600"
    [fabric]
    heartbeat_interval = "1s"
    heartbeat_misses = 5
    resume_time = "0s"
    [limits]
    stream_window = "64KiB"
    session_buffer = "1MiB"
    process_buffer = "2GiB"
    streams = 10
    [admin]
    metrics_listen = "127.0.0.1:9443"
    [log]
    level = "debug"
    format = "json"
  `);
  assert.deepEqual(config.node, {
    name: 'red1',
    site: 'red',
    state: '/srv/routy',
    drainMs: 60_000,
    dataPlane: 'native',
  });
  assert.deepEqual(config.listen, {
    address: { kind: 'tcp', host: '::', port: 7443 },
    advertise: [{ kind: 'tcp', host: 'gray.example', port: 443 }],
  });
  assert.deepEqual(config.peers, [
    {
      addresses: [{ kind: 'tcp', host: 'gray.example', port: 7443 }],
      via: 'http://user:secret@proxy.example:3128',
      lanes: 16,
    },
    {
      addresses: [
        { kind: 'tcp', host: '10.0.0.1', port: 7443 },
        { kind: 'tcp', host: 'fd00::1', port: 7443 },
      ],
      via: undefined,
      lanes: 2,
    },
  ]);
  assert.deepEqual(
    [...config.services],
    [
      [
        'postgres',
        {
          name: 'postgres',
          target: { kind: 'tcp', host: '127.0.0.1', port: 5432 },
          allow: ['gray', 'blue/blue1'],
          proxyProtocol: 'v2',
          source: '127.0.0.9',
          connectTimeoutMs: 500,
          keepaliveMs: 10_000,
        },
      ],
      [
        'app',
        {
          name: 'app',
          target: { kind: 'unix', path: '/run/app.sock' },
          allow: [],
          proxyProtocol: undefined,
          source: undefined,
          connectTimeoutMs: 5000,
          keepaliveMs: 60_000,
        },
      ],
    ],
  );
  assert.deepEqual(config.forwards, [
    {
      listen: { kind: 'tcp', host: '127.0.0.1', port: 6432 },
      to: { site: 'gray', service: 'postgres' },
      unavailable: { kind: 'hold', ms: 10_000 },
      connectTimeoutMs: 60_000,
      clients: ['127.0.0.1', '10.0.0.0/8'],
      keepaliveMs: 60_000,
      socket: { owner: undefined, group: undefined, mode: undefined },
    },
    {
      listen: { kind: 'unix', path: '/run/routy/redis.sock' },
      to: { site: 'gray', service: 'redis' },
      unavailable: { kind: 'refuse' },
      connectTimeoutMs: 600_000,
      clients: undefined,
      keepaliveMs: 0,
      socket: { owner: 'redis', group: '33', mode: 0o600 },
    },
  ]);
  assert.deepEqual(config.fabric, {
    heartbeatIntervalMs: 1000,
    heartbeatMisses: 5,
    resumeTimeMs: 0,
  });
  assert.deepEqual(config.limits, {
    streamWindow: 65_536,
    sessionBuffer: 2 ** 20,
    processBuffer: 2 ** 31,
    streams: 10,
  });
  assert.deepEqual(config.admin.metricsListen, { kind: 'tcp', host: '127.0.0.1', port: 9443 });
  assert.deepEqual(config.log, { level: 'debug', format: 'json' });
});

/** Every problem of a text that begins with a valid [node], without the three lines of it. */
function messages(text: string): string[] {
  const { problems } = inspectConfig(NODE + text);
  return problems.map(({ line, column, severity, message }) => {
    return `${line > 0 ? `${line - 3}:${column} ` : ''}${severity}: ${message}`;
  });
}

test('every problem is found, in the order of the file', () => {
  const text = `[service.postgres]
tagret = "127.0.0.1:5432"
allow = "gray"
[[forward]]
listen = 6432
to = "gray"
[fabric]
heartbeat_interval = "5 sec"
`;
  assert.deepEqual(messages(text), [
    '2:1 error: unknown key "tagret" in [service.postgres]; did you mean "target"?',
    '3:9 error: "allow" in [service.postgres]: expected a list such as ["gray"], got the string "gray"',
    '5:10 error: "listen" in [[forward]]: expected an address such as "127.0.0.1:6432" or "unix:/run/app.sock", got the number 6432',
    '6:6 error: "to" in [[forward]]: "gray" is not SITE/SERVICE; expected a service such as "gray/postgres"',
    '8:22 error: "heartbeat_interval" in [fabric]: unknown unit "sec" in "5 sec"; units are ms, s, m, h',
  ]);
});

test('a missing key is told, unless it is there misspelt', () => {
  assert.deepEqual(messages('[service.x]\nallow = []\n'), [
    '1:10 error: missing key "target" in [service.x]',
  ]);
  assert.deepEqual(messages('[service.x]\ntarget1 = "a:1"\n'), [
    '2:1 error: unknown key "target1" in [service.x]; did you mean "target"?',
  ]);
});

test('a file without tables, or with a value in place of one, is told what it lacks', () => {
  const told = (text: string) =>
    inspectConfig(text).problems.map(({ message, hint }) => [message, hint]);
  assert.deepEqual(told(''), [['missing table [node]', 'add [node] with name and site']]);
  assert.deepEqual(told('node = true'), [
    ['"node": expected a table, got the boolean true', undefined],
  ]);
  assert.deepEqual(told('[node]\nname = 1979-05-27\nsite = "red"\n'), [
    ['"name" in [node]: expected a name such as "red1", got a date', undefined],
  ]);
  assert.deepEqual(
    told(`${NODE}[[forward]]\nlisten = "a:1"\nto = "gray/x"\nunavailable = "hold 2h"\n`),
    [['"unavailable" in [[forward]]: "hold 2h" is out of range: hold 1ms to 60m', undefined]],
  );
});

test('names say what is wrong with them', () => {
  const of = (name: string) => messages(`[service."${name}"]\ntarget = "a:1"\n`);
  const rule = 'is not a name: 1 to 63 of a-z, 0-9 and "-", not beginning or ending with "-"';
  assert.deepEqual(of('My_DB'), [
    `1:10 error: service name "My_DB" ${rule}; did you mean "my-db"?`,
  ]);
  assert.deepEqual(of('-'), [`1:10 error: service name "-" ${rule}`]);
  assert.deepEqual(of('x'.repeat(63)), []);
  assert.equal(of('x'.repeat(64)).length, 1);
});

test('addresses say what is wrong with them', () => {
  const of = (address: string) =>
    messages(`[service.x]\ntarget = "${address}"\n`)[0]?.replace(/^.*\[service.x\]: /, '');
  const expected = 'expected host:port such as "127.0.0.1:5432"';
  assert.equal(of('5432'), `"5432" is a port without a host; ${expected}`);
  assert.equal(of('localhost'), `"localhost" has no port; ${expected}`);
  assert.equal(of('tcp://a:1'), `"tcp://a:1" is a URL; ${expected}`);
  assert.equal(of('::1:5432'), '"::1:5432": an IPv6 address needs brackets, such as "[::1]:7443"');
  assert.equal(
    of('[fe80::1]:5432'),
    '"[fe80::1]:5432": a link-local address needs its interface, such as "[fe80::1%eth0]:5432"',
  );
  assert.equal(of('a:70000'), '"a:70000": port 70000 is out of range: 1 to 65535');
  assert.equal(of('a:0'), '"a:0": nothing can be dialled at port 0');
  assert.equal(of('a b:1'), `"a b:1" is not an address; ${expected}`);
  assert.equal(
    of('unix:run/app.sock'),
    '"unix:run/app.sock" is not an absolute socket path; expected "unix:/run/app.sock"',
  );
  assert.match(of(`unix:/${'x'.repeat(107)}`)!, /a socket path has at most 107 bytes$/);
});

test('a proxy is http or socks5, and a wrong one is not repeated: it may hold a password', () => {
  const peer = (via: string) => messages(`[[peer]]\naddress = "a:1"\nvia = "${via}"\n`);
  assert.deepEqual(peer('socks5://10.0.0.1:1080'), []);
  assert.deepEqual(peer('http://u:p@[::1]:3128'), []);
  for (const via of ['ftp://u:secret@x:1', 'http://x', 'http://u:secret@x:1/path', 'x:1']) {
    const [problem] = peer(via);
    assert.match(problem!, /^3:7 error: "via" in \[\[peer\]\]: expected a proxy such as/);
    assert.doesNotMatch(problem!, /secret/);
  }
});

test('allow takes sites and nodes, never everybody or the own site', () => {
  assert.deepEqual(messages('[service.x]\ntarget = "a:1"\nallow = ["*", "gray/", "red/red2"]\n'), [
    '3:10 error: "allow" in [service.x]: "*" is not possible: allow names each site or node',
    '3:15 error: "allow" in [service.x]: "gray/" is neither a site such as "gray" nor a node such as "gray/gray1"',
  ]);
  assert.deepEqual(messages('[service.x]\ntarget = "a:1"\nallow = ["red/red2"]\n'), [
    '3:10 error: allow of service "x" names this node\'s own site "red"',
  ]);
});

test('a peer has one address or several, no address twice and not its own', () => {
  assert.deepEqual(
    messages(`[listen]
address = "10.0.0.1:7443"
[[peer]]
via = "socks5://a:1"
[[peer]]
address = "a:1"
addresses = ["b:1"]
[[peer]]
addresses = ["c:1", "c:1"]
[[peer]]
address = "10.0.0.1:7443"
`),
    [
      '3:3 error: missing key "address" in [[peer]]',
      '7:1 error: [[peer]] has both "address" and "addresses"',
      '9:21 error: peer address c:1 is given twice',
      '11:11 error: this node would dial itself: 10.0.0.1:7443 is its own [listen] address',
    ],
  );
});

test('addresses that cannot be listened on together are found', () => {
  const pair = (a: string, b: string) =>
    messages(`[[forward]]
listen = "${a}"
to = "gray/a"
[[forward]]
listen = "${b}"
to = "gray/b"
`);
  const collisions: [string, string][] = [
    ['0.0.0.0:1000', '127.0.0.1:1000'],
    ['127.0.0.1:1000', '0.0.0.0:1000'],
    ['[::]:1000', '0.0.0.0:1000'],
    ['[::]:1000', '127.0.0.1:1000'],
    ['[::1]:1000', '[0:0::1]:1000'],
    ['localhost:1000', '127.0.0.1:1000'],
    ['localhost:1000', '[::1]:1000'],
    ['[::1]:1000', 'localhost:1000'],
    ['localhost:1000', '0.0.0.0:1000'],
    ['0.0.0.0:1000', 'localhost:1000'],
    ['[::]:1000', 'localhost:1000'],
    ['localhost:1000', 'LOCALHOST:1000'],
    ['unix:/run/x', 'unix:/run/x'],
  ];
  for (const [a, b] of collisions) assert.equal(pair(a, b).length, 1, `${a} ${b}`);
  const fine: [string, string][] = [
    ['127.0.0.1:1000', '127.0.0.2:1000'],
    ['0.0.0.0:1000', '[::1]:1000'],
    ['127.0.0.1:0', '127.0.0.1:0'],
    ['127.0.0.1:1000', '127.0.0.1:1001'],
    ['unix:/run/x', 'unix:/run/y'],
  ];
  for (const [a, b] of fine) assert.deepEqual(pair(a, b), [], `${a} ${b}`);
  assert.deepEqual(pair('127.0.0.1:5', '127.0.0.1:5'), [
    '5:10 error: 127.0.0.1:5 is already taken by [[forward]] on line 5',
  ]);
});

test('limits and times are compared with each other', () => {
  assert.deepEqual(
    messages(`[limits]
stream_window = "512MiB"
process_buffer = "128MiB"
[fabric]
heartbeat_interval = "30s"
`),
    [
      '1:2 warning: session_buffer 256MiB is larger than process_buffer 128MiB and can never be used up',
      '2:1 error: stream_window 512MiB is larger than session_buffer 256MiB',
      '4:2 warning: a lane that falls silent is given up after heartbeat_interval x heartbeat_misses = 90s, when resume_time 60s is already over',
    ],
  );
});

test('resume_time counts from the last byte heard: it must leave time to dial after a silence', () => {
  const times = (resume: string) => messages(`[fabric]\nresume_time = "${resume}"\n`);
  assert.deepEqual(times('16s'), []);
  assert.equal(times('15s').length, 1);
  assert.match(times('15s')[0]!, /= 15s, when resume_time 15s is already over/);
  // Streams are not to outlive their lane at all.
  assert.deepEqual(times('0s'), []);
});

test('a peer has 1 to 16 lanes', () => {
  const lanes = (value: string) => messages(`[[peer]]\naddress = "a:1"\nlanes = ${value}\n`);
  for (const fine of ['1', '2', '16']) assert.deepEqual(lanes(fine), []);
  const expected = '3:9 error: "lanes" in [[peer]]: expected a whole number from 1 to 16, got';
  for (const wrong of ['0', '17', '-1', '1.5']) {
    assert.deepEqual(lanes(wrong), [`${expected} the number ${wrong}`]);
  }
  assert.deepEqual(lanes('"2"'), [`${expected} the string "2"`]);
});

test('warnings alone leave a config', () => {
  const { config, problems } = inspectConfig(`${NODE}[fabric]\nheartbeat_interval = "30s"\n`);
  assert.equal(problems.length, 1);
  assert.equal(config?.fabric.heartbeatIntervalMs, 30_000);
});

test('tables with the wrong brackets and keys in the wrong table are put right', () => {
  const { problems } = inspectConfig(`drain_timeout = "5s"
node = { name = "red1", site = "red" }
[forward]
listen = "127.0.0.1:1"
[[listen]]
address = "a:1"
[servce.x]
target = "a:1"
`);
  assert.deepEqual(
    problems.map(({ line, message, hint }) => [line, message, hint]),
    [
      [1, 'unknown key "drain_timeout" at the top level', '"drain_timeout" belongs in [node]'],
      [3, 'there may be several forward tables: write [[forward]]', undefined],
      [5, 'there is one listen table: write [listen]', undefined],
      [7, 'unknown table [servce]; did you mean [service.NAME]?', undefined],
    ],
  );
});

test('keys that name parts of the object prototype are refused and change nothing', () => {
  const text = `[service.__proto__]
target = "a:1"
[constructor.prototype]
polluted = true
`;
  assert.deepEqual(messages(text), [
    '1:10 error: service name "__proto__" is not a name: 1 to 63 of a-z, 0-9 and "-", not beginning or ending with "-"',
    '3:2 error: unknown table [constructor]',
  ]);
  assert.equal(({} as Record<string, unknown>).polluted, undefined);
  assert.equal(({} as Record<string, unknown>).target, undefined);
});

test('syntax errors are told in words and with their place', () => {
  const cases: [string, string][] = [
    ['a = 5s', '1:5: error: syntax error: the value 5s needs quotes'],
    ['name = red1 # x', '1:8: error: syntax error: the value red1 needs quotes'],
    ['a = \nb = 1', '1:4: error: syntax error: a value is missing here'],
    ['[node\n', '1:6: error: syntax error: the table name has no closing "]"'],
    ['a = "x', '1:7: error: syntax error: the string has no closing quote'],
    ['a 1', '1:3: error: syntax error: expected "=" after the key'],
    ['a = 1\na = 2', '2:1: error: this table or key is already defined above'],
    ['a = "x" b = 1', '1:9: error: syntax error: unexpected text after the value'],
  ];
  for (const [text, start] of cases) {
    const { problems, config } = inspectConfig(text);
    assert.equal(config, undefined);
    const rendered = renderProblems(problems, text, 'routy.toml');
    assert.ok(rendered.startsWith(`routy.toml:${start}`), rendered);
  }
});

test('the place is underlined below its source line, tabs and CRLF included', () => {
  const text = `[node]\r\n\tname\t= 5\r\n\tsite = "red"\r\n`;
  assert.throws(
    () => parseConfig(text, 'x.toml'),
    (error: unknown) => {
      assert.ok(error instanceof ConfigError);
      assert.equal(error.code, 'config-invalid');
      assert.equal(error.problems.length, 1);
      assert.equal(
        error.message,
        `x.toml:2:9: error: "name" in [node]: expected a name such as "red1", got the number 5
    2 | \tname\t= 5
      | \t    \t  ^`,
      );
      return true;
    },
  );
});

test('a byte order mark is not an error', () => {
  assert.equal(parseConfig(`\uFEFF${NODE}`).node.name, 'red1');
});

test('a missing file is told with what to do', () => {
  assert.throws(() => loadConfig('/nonexistent/routy.toml'), {
    code: 'config-unreadable',
    message: 'cannot read /nonexistent/routy.toml: there is no such file',
    hint: 'make one with `routy init` or `routy join`, or name another with --config PATH',
  });
});

test('settings of a TCP address or a unix socket count for nothing on the other', () => {
  const text = `[service.db]
target = "unix:/run/db.sock"
allow = ["gray"]
source = "127.0.0.9"
[service.six]
target = "[::1]:1"
allow = ["gray"]
source = "127.0.0.9"
[[forward]]
listen = "127.0.0.1:6432"
to = "gray/db"
clients = ["10.0.0.0/33", "fd00::/8"]
[[forward]]
listen = "127.0.0.1:6433"
to = "gray/db"
socket_mode = "0666"
socket_owner = "app"
[[forward]]
listen = "unix:/run/other.sock"
to = "gray/db"
clients = ["::1"]
`;
  assert.deepEqual(messages(text), [
    '4:10 error: "source" counts for TCP, and this target is a unix socket',
    '8:10 error: source 127.0.0.9 cannot reach [::1]:1',
    '12:12 error: "clients" in [[forward]]: "10.0.0.0/33" is neither an address such as "10.0.0.7" nor a network such as "10.0.0.0/8"',
    '16:1 error: "socket_mode" counts for unix sockets, and this forward listens on a TCP address',
    '17:1 error: "socket_owner" counts for unix sockets, and this forward listens on a TCP address',
    '21:1 error: "clients" counts for TCP, and this forward listens on a unix socket',
  ]);
});
