import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { createServer } from 'node:net';
import { type TestContext, test } from 'node:test';
import pg from 'pg';
import { parseTable, socketsOf } from '../../../demo/network/sockets.ts';
import { type Demo, runDemo } from './demo-support.ts';

/** The demo has to end by itself within this time, in ms. */
const DEADLINE_MS = 60_000;

test('the demo shows everything and ends by itself', { timeout: 2 * DEADLINE_MS }, async (t) => {
  const startMs = performance.now();
  const demo = runDemo(t);
  const code = await demo.exit;
  const tookMs = performance.now() - startMs;
  assert.equal(code, 0, demo.output);
  assert.ok(tookMs < DEADLINE_MS, `the demo took ${tookMs} ms`);
  for (const shown of [
    /gray\$ routy init .*--site gray/,
    /gray\$ routy up/,
    /red\$ routy join 'routy-join-1:/,
    /red\$ routy up/,
    /3 rows written at gray are at red/,
    /3 rows written at red are at gray/,
    /The answer came whole and is right/,
    /Equal: every row arrived, none twice\./,
    /node {9}red\/red1 of /,
  ]) {
    assert.match(demo.output, shown);
  }
  const goesOn = /replication both ways goes on after \S+ s, on (the same|new) connections/g;
  const on = [...demo.output.matchAll(goesOn)].map(([, connections]) => connections);
  assert.deepEqual(on, ['the same', 'the same', 'new', 'new'], demo.output);
  leftNothing(demo);
});

test('the demo can stay up, takes connections and ends on Ctrl-C', async (t) => {
  const demo = runDemo(t, '--keep');
  await demo.printed(/Still up(?:[\s\S]*?psql "host=[^\n]*\n){4}/, DEADLINE_MS);
  const [gray, red, , redToGray] = [...demo.output.matchAll(/psql "host=127\.0\.0\.1 port=(\d+)/g)];
  const grayClient = await connect(t, gray);
  await grayClient.query("INSERT INTO orders (item) VALUES ('mine')");
  const wanted = "SELECT count(*)::int AS rows FROM orders WHERE site = 'gray' AND item = 'mine'";
  const throughRouty = await connect(t, redToGray);
  assert.deepEqual((await throughRouty.query(wanted)).rows, [{ rows: 1 }]);
  const redClient = await connect(t, red);
  await untilRows(() => redClient.query(wanted));
  demo.signal('SIGINT');
  assert.equal(await demo.exit, 0, demo.output);
  leftNothing(demo);
});

test('a demo interrupted at any time stops and removes what it started', async (t) => {
  const demo = runDemo(t);
  await demo.printed(/red\$ routy join/, DEADLINE_MS);
  demo.signal('SIGTERM');
  assert.equal(await demo.exit, 1, demo.output);
  assert.match(demo.output, /routy: interrupted/);
  leftNothing(demo);
});

test('the demo says how it is used', async (t) => {
  const demo = runDemo(t, '--wrong');
  assert.equal(await demo.exit, 2);
  assert.match(demo.output, /npm run demo \[-- --keep\]/);
});

test('the sockets of a process are the ones it has', async (t) => {
  if (process.platform !== 'linux') {
    assert.equal(socketsOf(process.pid), undefined);
    return;
  }
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const { port } = server.address() as { port: number };
  const own = socketsOf(process.pid)!.filter(({ localPort }) => localPort === port);
  assert.deepEqual(
    own.map(({ state, local }) => [state, local]),
    [['LISTEN', `127.0.0.1:${port}`]],
  );
});

test('a table of the kernel is read in both address families', () => {
  const head = '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid';
  const rest = '00000000:00000000 00:00000000 00000000     0        0';
  const entries = parseTable(
    [
      head,
      `   0: 0100007F:1F90 00000000:0000 0A ${rest} 4711 1 0`,
      `   1: 00000000000000000000000001000000:1538 0000000000000000FFFF00000100007F:D431 01 ${rest} 4712 1 0`,
      `   2: 0100007F:1F91 0100007F:1F90 06 ${rest} 0 1 0`,
    ].join('\n'),
  );
  assert.deepEqual(
    entries.map(({ inode, socket }) => [inode, socket.state, socket.local, socket.remotePort]),
    [
      ['4711', 'LISTEN', '127.0.0.1:8080', 0],
      ['4712', 'ESTAB', '[0:0:0:0:0:0:0:1]:5432', 54321],
    ],
  );
});

/** No process that the demo named is alive, and its directory is gone. */
function leftNothing(demo: Demo): void {
  const pids = [...demo.output.matchAll(/\(pid (\d+)\)/g)].map((match) => Number(match[1]));
  assert.ok(pids.length > 0, 'the demo names no process');
  for (const pid of pids) assert.throws(() => process.kill(pid, 0), { code: 'ESRCH' });
  assert.deepEqual(readdirSync(demo.temporary), []);
}

async function connect(t: TestContext, match: RegExpMatchArray | undefined): Promise<pg.Client> {
  assert.ok(match !== undefined, 'the demo does not say how to connect');
  const client = new pg.Client({
    host: '127.0.0.1',
    port: Number(match[1]),
    user: 'postgres',
    database: 'postgres',
  });
  // The demo ends before the test does, and the connection with it.
  client.on('error', () => {});
  await client.connect();
  t.after(() => client.end().catch(() => {}));
  return client;
}

async function untilRows(query: () => Promise<pg.QueryResult<{ rows: number }>>): Promise<void> {
  const endMs = performance.now() + 15_000;
  for (;;) {
    const { rows } = await query();
    if (rows[0]!.rows === 1) return;
    assert.ok(performance.now() < endMs, 'the row did not arrive');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
