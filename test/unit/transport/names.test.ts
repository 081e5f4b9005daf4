import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { HostsFile, parseHosts } from '../../../packages/link/src/transport/names/hosts-file.ts';
import {
  type Lookup,
  Names,
  SLOW_MS,
  STALE_AFTER_MS,
} from '../../../packages/link/src/transport/names/names.ts';

const NOT_LOCAL = { addressesOf: () => undefined };
const { signal } = new AbortController();

/** A name server that answers when the test says so. */
class Server {
  nowMs = 0;
  readonly asked: string[] = [];
  readonly #open: {
    host: string;
    answer: (addresses: string[]) => void;
    fail: (e: Error) => void;
  }[] = [];

  readonly lookup: Lookup = (host) =>
    new Promise((resolve, reject) => {
      this.asked.push(host);
      const answer = (addresses: string[]) =>
        resolve(addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })));
      this.#open.push({ host, answer, fail: reject });
    });

  readonly names = new Names({
    lookup: this.lookup,
    hosts: NOT_LOCAL,
    nowMs: () => this.nowMs,
  });

  async answer(host: string, ...addresses: string[]): Promise<void> {
    this.#take(host).answer(addresses);
    await turn();
  }

  async fail(host: string, code: string): Promise<void> {
    this.#take(host).fail(Object.assign(new Error(`getaddrinfo ${code} ${host}`), { code }));
    await turn();
  }

  #take(host: string) {
    const at = this.#open.findIndex((each) => each.host === host);
    assert.notEqual(at, -1, `${host} is not being looked up`);
    return this.#open.splice(at, 1)[0]!;
  }
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

test('literals and names of this machine are not looked up', async () => {
  const server = new Server();
  const names = new Names({ lookup: server.lookup, hosts: new HostsFile('/nonexistent') });
  assert.deepEqual(await names.resolve('2001:db8::1', signal), ['2001:db8::1']);
  assert.deepEqual(await names.resolve('localhost', signal), ['127.0.0.1', '::1']);
  assert.deepEqual(await names.resolve('db.LocalHost', signal), ['127.0.0.1', '::1']);
  assert.deepEqual(server.asked, []);
});

test('the hosts file is read as it is written, and again when it has changed', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const names = parseHosts('127.0.0.1 localhost # me\n::1\tlocalhost ip6\n10.0.0.7 DB db.lan\nx y');
  assert.deepEqual([...names.keys()], ['localhost', 'ip6', 'db', 'db.lan']);
  assert.deepEqual(names.get('localhost'), ['127.0.0.1', '::1']);
  const dir = mkdtempSync(join(tmpdir(), 'routy-hosts-'));
  writeFileSync(join(dir, 'hosts'), '10.0.0.7 db\n');
  const file = new HostsFile(join(dir, 'hosts'));
  assert.deepEqual(file.addressesOf('DB'), ['10.0.0.7']);
  assert.equal(file.addressesOf('other'), undefined);
  rmSync(dir, { recursive: true });
});

test('however many ask for a name, it is looked up once', async () => {
  const server = new Server();
  const all = Array.from({ length: 8 }, () => server.names.resolve('db', signal));
  await turn();
  assert.deepEqual(server.asked, ['db']);
  await server.answer('db', '10.0.0.1', '10.0.0.2', '::2');
  for (const each of all) assert.deepEqual(await each, ['10.0.0.1', '::2', '10.0.0.2']);
});

test('a name that is known to be slow keeps no other name waiting', async () => {
  const server = new Server();
  const pending: Promise<unknown>[] = [];
  const ask = (host: string) => {
    const asking = server.names.resolve(host, signal);
    pending.push(asking.catch(() => undefined));
    return asking;
  };
  for (const host of ['dead1', 'dead2', 'dead3']) void ask(host).catch(() => undefined);
  await turn();
  assert.deepEqual(server.asked, ['dead1', 'dead2'], 'no more than two at once');
  server.nowMs += 2 * SLOW_MS;
  await server.fail('dead1', 'EAI_AGAIN');
  await server.fail('dead2', 'EAI_AGAIN');
  server.nowMs += 2 * SLOW_MS;
  await server.fail('dead3', 'EAI_AGAIN');

  for (const host of ['dead1', 'dead2', 'dead3']) void ask(host).catch(() => undefined);
  await turn();
  const well = ask('well');
  await turn();
  assert.deepEqual(server.asked.slice(3), ['dead1', 'well']);
  await server.answer('well', '10.0.0.1');
  assert.deepEqual(await well, ['10.0.0.1']);
  for (const host of ['dead1', 'dead2', 'dead3']) await server.fail(host, 'EAI_AGAIN');
  await Promise.all(pending);
});

test('one who stops waiting leaves the others what they wait for', async () => {
  const server = new Server();
  const leaving = new AbortController();
  const first = server.names.resolve('db', leaving.signal);
  const second = server.names.resolve('db', signal);
  await turn();
  leaving.abort();
  await assert.rejects(first, { code: 'dial-aborted' });
  await server.answer('db', '10.0.0.1');
  assert.deepEqual(await second, ['10.0.0.1']);
});

test('a lookup that nobody waits for any more is not begun', async () => {
  const server = new Server();
  const leaving = new AbortController();
  const busy = ['a', 'b'].map((host) => server.names.resolve(host, signal));
  const waiting = server.names.resolve('c', leaving.signal);
  await turn();
  leaving.abort();
  await assert.rejects(waiting, { code: 'dial-aborted' });
  await server.answer('a', '10.0.0.1');
  await server.answer('b', '10.0.0.1');
  await Promise.all(busy);
  assert.deepEqual(server.asked, ['a', 'b']);
});

test('while the name server is silent the last answer goes on', async (t) => {
  const server = new Server();
  const before = server.names.resolve('db', signal);
  await turn();
  await server.answer('db', '10.0.0.1');
  await before;
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const during = server.names.resolve('db', signal);
  await turn();
  t.mock.timers.tick(STALE_AFTER_MS);
  assert.deepEqual(await during, ['10.0.0.1']);
  await server.fail('db', 'EAI_AGAIN');
  const unanswered = server.names.resolve('db', signal);
  await turn();
  await server.fail('db', 'EAI_AGAIN');
  assert.deepEqual(await unanswered, ['10.0.0.1']);

  const gone = assert.rejects(server.names.resolve('db', signal), { code: 'dial-resolve' });
  await turn();
  await server.fail('db', 'ENOTFOUND');
  await gone;
  const message = 'the name server did not answer for db';
  const after = assert.rejects(server.names.resolve('db', signal), { message });
  await turn();
  await server.fail('db', 'EAI_AGAIN');
  await after;
});

test('an answer is not used for longer than an hour', async () => {
  const server = new Server();
  const before = server.names.resolve('db', signal);
  await turn();
  await server.answer('db', '10.0.0.1');
  await before;
  server.nowMs += 61 * 60_000;
  const late = assert.rejects(server.names.resolve('db', signal), { code: 'dial-resolve' });
  await turn();
  await server.fail('db', 'EAI_AGAIN');
  await late;
});
