import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual } from 'node:util';
import { connectSocket } from '../../../packages/linux/src/sockets/connect.ts';
import { placeText, type SocketPlace } from '../../../packages/linux/src/system/socket-address.ts';
import { nativeCalls } from '../../support/linux/native.ts';
import { planeMissing, testPlane } from '../../support/linux/native-plane.ts';
import { LOOPBACK_PLACE, nativeListener, SocketLog } from '../../support/linux/native-sockets.ts';
import { until } from '../../support/sockets/loopback.ts';

const CHILD = fileURLToPath(new URL('./emfile-process.ts', import.meta.url));
const directory = mkdtempSync(join(tmpdir(), 'routy-linux-'));
after(() => rmSync(directory, { recursive: true }));

describe('native sockets', { timeout: 60_000, skip: planeMissing }, () => {
  connecting();
  listening();
  bytes();
  liveness();
  test('leave nothing behind', async () => {
    const { loop } = testPlane();
    await until('nothing is watched', () => loop.watched === 0);
  });
});

function connecting(): void {
  for (const at of [LOOPBACK_PLACE, { host: '::1', port: 0 }]) {
    test(`both ends of a connection know their addresses at ${at.host}`, async () => {
      const { listener, next, place } = nativeListener(at);
      const [near, far] = await Promise.all([connectSocket(testPlane(), { to: place }), next()]);
      assert.deepEqual(near.remotePlace, place);
      assert.deepEqual(far.localPlace, place);
      assert.deepEqual(far.remotePlace, near.localPlace);
      for (const each of [near, far, listener]) each.close();
      assert.equal(near.remotePlace, undefined);
    });
  }

  test('a unix socket is connected, and its file goes with its listener', async () => {
    const path = join(directory, 'unix');
    const { listener, next } = nativeListener({ path });
    const [near, far] = await Promise.all([connectSocket(testPlane(), { to: { path } }), next()]);
    const log = new SocketLog(far);
    near.bind(log);
    near.write(Buffer.from('over a file'));
    near.end();
    await until('it has come', () => log.told.includes('end'));
    assert.equal(log.text, 'over a file');
    for (const each of [near, far, listener]) each.close();
    assert.equal(existsSync(path), false);
  });

  test('what the other end says, and that it closes, before the connection is looked at', async () => {
    const { listener, place } = nativeListener();
    const { system } = testPlane();
    const connecting = connectSocket(testPlane(), { to: place });
    // The system has made the connection, and tells of it and of all that follows in one event.
    const accepted = system.accept(descriptorAt(place));
    system.writeGathered(accepted, [Buffer.from('first and last words')]);
    system.close(accepted);
    const log = new SocketLog(await connecting);
    await until('the end was read', () => log.told.includes('end'));
    assert.equal(log.text, 'first and last words');
    log.socket.close();
    listener.close();
  });

  test('a connection comes from the address it is told to', async () => {
    const { listener, next, place } = nativeListener();
    const options = { to: place, localAddress: '127.0.0.2' };
    const [near, far] = await Promise.all([connectSocket(testPlane(), options), next()]);
    const { remotePlace } = far;
    assert.ok(remotePlace !== undefined && 'host' in remotePlace);
    assert.equal(remotePlace.host, '127.0.0.2');
    for (const each of [near, far, listener]) each.close();
  });

  test('failures are in the shape of Node', async () => {
    const { listener, place } = nativeListener();
    listener.close();
    assert.ok('port' in place);
    await assert.rejects(connectSocket(testPlane(), { to: place }), {
      code: 'ECONNREFUSED',
      syscall: 'connect',
      message: `connect ECONNREFUSED 127.0.0.1:${place.port}`,
    });
    const nowhere = { to: { path: join(directory, 'nobody') } };
    await assert.rejects(connectSocket(testPlane(), nowhere), { code: 'ENOENT' });
    const elsewhere = { to: place, localAddress: '192.0.2.1' };
    await assert.rejects(connectSocket(testPlane(), elsewhere), { code: 'EADDRNOTAVAIL' });
    const name = { to: { host: 'localhost', port: 1 } };
    await assert.rejects(connectSocket(testPlane(), name), /not an IP address/);
  });

  test('who does not answer is waited for as long as told, or until it is given up', async () => {
    // A listener whose backlog is full answers nobody.
    const { system } = testPlane();
    const { listener, place } = nativeListener();
    assert.ok('port' in place);
    const fd = descriptorAt(place);
    testPlane().loop.unwatch(fd);
    system.listen(fd, 0);
    const first = connect({ ...place });
    await once(first, 'connect');
    await assert.rejects(connectSocket(testPlane(), { to: place, timeoutMs: 50 }), {
      code: 'ETIMEDOUT',
      message: `connect ETIMEDOUT 127.0.0.1:${place.port}`,
    });
    const abort = new AbortController();
    const connecting = connectSocket(testPlane(), { to: place, signal: abort.signal });
    abort.abort(new Error('given up'));
    await assert.rejects(connecting, /given up/);
    await assert.rejects(
      connectSocket(testPlane(), { to: place, signal: abort.signal }),
      /given up/,
    );
    first.destroy();
    listener.close();
  });
}

/** For what no socket of ours is asked to do. */
function descriptorAt(place: SocketPlace): number {
  const { system } = testPlane();
  for (let fd = 3; fd < 1024; fd++) {
    if (isDeepStrictEqual(system.localPlace(fd), place)) return fd;
  }
  throw new Error(`no descriptor is at ${placeText(place)}`);
}

function listening(): void {
  test('a place that is taken, or is none of this machine, is refused in the words of the link', () => {
    const { listener, place } = nativeListener();
    assert.throws(() => nativeListener(place), { code: 'listen-in-use', message: /EADDRINUSE/ });
    const elsewhere = { host: '192.0.2.1', port: 0 };
    assert.throws(() => nativeListener(elsewhere), { code: 'listen-no-address' });
    const nowhere = { path: join(directory, 'no', 'such') };
    assert.throws(() => nativeListener(nowhere), { code: 'listen-no-address' });
    listener.close();
  });

  test('500 connections at once are all accepted', async () => {
    const { listener, next, place } = nativeListener();
    assert.ok('port' in place);
    const peers = Array.from({ length: 500 }, () => connect({ ...place }).resume());
    const closed = peers.map((peer) => once(peer, 'close'));
    for (let n = 0; n < peers.length; n++) (await next()).close();
    await Promise.all(closed);
    listener.close();
  });

  test('a process without free descriptors accepts again, also those who came meanwhile', async (t) => {
    const child = spawn(
      'sh',
      ['-c', 'ulimit -n 64; exec "$0" --import tsx "$1"', process.execPath, CHILD],
      { stdio: ['pipe', 'pipe', 'inherit'] },
    );
    t.after(() => child.kill('SIGKILL'));
    const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
    const line = async () => String((await lines.next()).value);
    const port = Number(await line());
    assert.ok(port > 0);
    child.stdin.write('fill\n');
    assert.equal(await line(), 'done fill');
    const knocks = Array.from({ length: 20 }, () => connect({ port, host: '127.0.0.1' }));
    const ends = knocks.map((knock) => once(knock.resume(), 'error'));
    await Promise.all(knocks.map((knock) => once(knock, 'connect')));
    // The runtime of the process may close descriptors of its own still, and as many are accepted.
    let said = await line();
    while (/^accepted \d+$/.test(said)) said = await line();
    assert.equal(said, 'error listen-exhausted');
    child.stdin.write('free\n');
    const after = new Set<string>();
    for (; said !== 'accepted 20'; said = await line()) {
      after.add(said);
      assert.match(said, /^(?:error listen-exhausted|reopened|done free|accepted \d+)$/);
    }
    assert.ok(after.has('reopened'), 'it never said that it accepts again');
    // By the reset that the process gives to whom it has accepted.
    for (const [error] of await Promise.all(ends)) assert.equal(error.code, 'ECONNRESET');
    child.stdin.end();
    assert.deepEqual(await once(child, 'exit'), [0, null]);
  });
}

/** A native socket and one of Node. */
async function pair(): Promise<{ log: SocketLog; peer: Socket }> {
  const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const [socket, [peer]] = (await Promise.all([
    connectSocket(testPlane(), { to: { host: '127.0.0.1', port } }),
    once(server, 'connection'),
  ])) as [Awaited<ReturnType<typeof connectSocket>>, [Socket]];
  server.close();
  return { log: new SocketLog(socket), peer };
}

const BULK_BYTES = 48 * 1024 * 1024;

function bytes(): void {
  test('what was read is read over: who keeps some of it copies that', async () => {
    const { log, peer } = await pair();
    const lent: Uint8Array[] = [];
    const copied: string[] = [];
    log.use = (piece) => {
      lent.push(piece);
      copied.push(Buffer.from(piece).toString());
    };
    peer.write('first');
    await until('it has come', () => lent.length === 1);
    peer.end('next');
    await until('all has come', () => log.told.includes('end'));
    assert.deepEqual(copied, ['first', 'next']);
    assert.equal(lent[0]!.buffer, lent[1]!.buffer);
    assert.ok(lent.every((piece) => piece.every((byte) => byte === 0xdb)));
    log.socket.close();
    peer.destroy();
  });

  test('both ways at once, in bulk, with a reader that stops now and then', async () => {
    const { log, peer } = await pair();
    const [there, back] = [createHash('sha256'), createHash('sha256')];
    const sent = randomBytes(BULK_BYTES);
    let reads = 0;
    log.use = (piece) => {
      back.update(piece);
      if (++reads % 50 === 0) {
        log.socket.pause();
        setTimeout(() => log.socket.resume(), 1);
      }
    };
    peer.on('data', (piece) => there.update(piece));
    peer.end(sent);
    for (let at = 0; at < sent.length; at += 300_000) {
      log.socket.write(sent.subarray(at, at + 300_000));
      log.socket.flush();
      if (log.socket.queuedBytes > 1024 * 1024) {
        await until('it was written', () => log.socket.queuedBytes === 0);
      }
    }
    log.socket.end();
    await once(peer, 'end');
    await until('all has come', () => log.told.includes('end'));
    const wanted = createHash('sha256').update(sent).digest('hex');
    assert.deepEqual([there.digest('hex'), back.digest('hex')], [wanted, wanted]);
    assert.ok(log.socket.isClosed, 'both directions have ended');
  });

  test('the urgent byte is one of all, in its place', async () => {
    const server = nativeListener();
    assert.ok('port' in server.place);
    const client = connect({ ...server.place });
    await once(client, 'connect');
    const accepted = new SocketLog(await server.next());
    const { log: dialled, peer } = await pair();
    for (const [socket, log] of [[client, accepted] as const, [peer, dialled] as const]) {
      assert.ok(nativeCalls().sendUrgent(socket, 'abc'));
      await new Promise((resolve) => socket.write('def', resolve));
      await until('all has come', () => log.text === 'abcdef');
      log.socket.close();
      socket.destroy();
    }
    server.listener.close();
  });

  test('a half-close behind bytes that wait comes when they have gone', async () => {
    const { log, peer } = await pair();
    peer.pause();
    log.socket.write(new Uint8Array(16 * 1024 * 1024));
    log.socket.end();
    assert.ok(log.socket.queuedBytes > 0);
    assert.deepEqual(log.told, []);
    let read = 0;
    peer.on('data', (piece) => {
      read += piece.length;
    });
    peer.resume();
    await once(peer, 'end');
    assert.equal(read, 16 * 1024 * 1024);
    assert.deepEqual(log.told, ['finished']);
    peer.end();
    await until('it is closed', () => log.socket.isClosed);
  });
}

const SO_KEEPALIVE = [1, 9] as const;
const TCP_KEEPIDLE = [6, 4] as const;
const TCP_USER_TIMEOUT = [6, 18] as const;

function liveness(): void {
  test('the system is told when to ask, and when to give up', async () => {
    const { listener, next, place } = nativeListener();
    const [near, far] = await Promise.all([connectSocket(testPlane(), { to: place }), next()]);
    near.keepAlive(2500);
    near.userTimeout(7000);
    const { system } = testPlane();
    const fd = descriptorAt(near.localPlace!);
    const options = [SO_KEEPALIVE, TCP_KEEPIDLE, TCP_USER_TIMEOUT];
    const values = options.map(([level, name]) => system.getOption(fd, level, name));
    assert.deepEqual(values, [1, 3, 7000]);
    for (const each of [near, far, listener]) each.close();
  });

  test('an end that has vanished is silent, one that does not read is not', async () => {
    const [vanished, reading] = [await pair(), await pair()];
    reading.peer.pause();
    reading.log.socket.write(new Uint8Array(16 * 1024 * 1024));
    reading.log.socket.flush();
    assert.ok(nativeCalls().vanish(vanished.peer));
    vanished.log.socket.write(Buffer.from('is anybody there?'));
    vanished.log.socket.flush();
    await until('nobody has answered', () => vanished.log.socket.isSilent(500));
    assert.equal(reading.log.socket.isSilent(30_000), false);
    for (const { log, peer } of [vanished, reading]) {
      log.socket.reset();
      peer.destroy();
    }
  });
}
