import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { before, describe, type TestContext, test } from 'node:test';
import { type TLSSocket, connect as tlsConnect } from 'node:tls';
import type { Secured } from '../../../packages/linux/src/tls/handshake/accepted-tls.ts';
import { TlsAcceptor } from '../../../packages/linux/src/tls/handshake/tls-acceptor.ts';
import type { TlsCredentials } from '../../../packages/link/src/transport/lane.ts';
import {
  ConnectionAcceptor,
  type ConnectionRefusal,
  type UnverifiedConnection,
} from '../../../packages/link/src/transport/tcp/connection-acceptor.ts';
import type { HalfOpenLimits } from '../../../packages/link/src/transport/tcp/half-open.ts';
import { joinFabric, serveEnrolment } from '../../../packages/routy/src/enrol/enrol-join.ts';
import { createInvite } from '../../../packages/routy/src/enrol/invite.ts';
import { formatJoinLine, parseJoinLine } from '../../../packages/routy/src/enrol/join-line.ts';
import { loadCredentials } from '../../../packages/routy/src/pki/node/credentials.ts';
import { initFabric } from '../../../packages/routy/src/pki/node/init.ts';
import { testCa, testCredentials } from '../../support/certificates.ts';
import { EventLog, rejection, temporaryDirectory } from '../../support/nodes/enrol-lab.ts';
import { until } from '../../support/lanes/lane-pair.ts';
import { RawSocket } from '../../support/linux/raw-socket.ts';
import { dialRecords, RecordConnection } from '../../support/linux/record-connection.ts';

// The native acceptor behind the limits and deadlines of every listener.

let red: TlsCredentials;
let gray: TlsCredentials;
before(async () => {
  const ca = await testCa();
  [red, gray] = await Promise.all([
    testCredentials(ca, { site: 'red' }),
    testCredentials(ca, { site: 'gray' }),
  ]);
});

interface ListenOptions {
  readonly credentials?: () => TlsCredentials;
  readonly limits?: Partial<HalfOpenLimits>;
  onEnrol?(socket: TLSSocket, connection: UnverifiedConnection): void;
}

async function nativeListener(t: TestContext, options: ListenOptions = {}) {
  const refusals: ConnectionRefusal[] = [];
  const connections: RecordConnection[] = [];
  const sockets = new Set<Socket>();
  const acceptor = new ConnectionAcceptor<RawSocket, Secured<RawSocket>>({
    tls: new TlsAcceptor<RawSocket>(options.credentials ?? (() => gray)),
    onSecure: (secured, connection) => {
      if (secured.kind === 'lane') {
        connection.admit();
        connections.push(new RecordConnection(secured.raw, secured.established, {}));
      } else {
        connection.hold();
        if (options.onEnrol === undefined) secured.socket.destroy();
        else options.onEnrol(secured.socket, connection);
      }
    },
    onRefused: (refusal) => refusals.push(refusal),
    limits: options.limits,
  });
  const server = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    acceptor.accept(new RawSocket(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    acceptor.close();
    for (const socket of sockets) socket.destroy();
  });
  const { port } = server.address() as { port: number };
  return { port, acceptor, refusals, connections, sockets };
}

/** Somebody with ALPN `routy-enrol/1` and no certificate. */
async function newcomer(t: TestContext, port: number): Promise<TLSSocket> {
  const socket = tlsConnect({
    ...{ port, host: '127.0.0.1', ca: gray.caPem, ALPNProtocols: ['routy-enrol/1'] },
    checkServerIdentity: () => undefined,
  });
  socket.on('error', () => {});
  t.after(() => socket.destroy());
  await once(socket, 'secureConnect');
  return socket;
}

describe('enrolment at a native listener', { timeout: 60_000 }, () => {
  test('a newcomer joins with one line, and a wrong proof is refused', async (t) => {
    const directory = await temporaryDirectory(t);
    const stateDir = join(directory, 'ca-node');
    await initFabric({ stateDir, fabric: 'lab', site: 'gray', node: 'gray1' });
    const credentials = await loadCredentials(stateDir);
    const events = new EventLog();
    const { log } = events;
    const served: Promise<void>[] = [];
    const { port, acceptor, sockets } = await nativeListener(t, {
      credentials: () => credentials,
      onEnrol: (socket, { from: remote, admit }) => {
        served.push(serveEnrolment(socket, { stateDir, remote, log, proved: admit }));
      },
    });
    const address = { kind: 'tcp', host: '127.0.0.1', port } as const;
    const { line } = await createInvite({ stateDir, site: 'red', addresses: [address] });

    const secret = Buffer.alloc(32, 1).toString('base64url');
    const wrong = formatJoinLine({ ...parseJoinLine(line), secret });
    const thief = joinFabric({ line: wrong, stateDir: join(directory, 'thief'), node: 'red9' });
    await rejection(thief, 'proof-wrong');
    await events.refusal('proof-wrong');

    const newDir = join(directory, 'newcomer');
    const { identity } = await joinFabric({ line, stateDir: newDir, node: 'red1' });
    assert.deepEqual(identity, { fabric: 'lab', site: 'red', node: 'red1' });
    const event = await events.next();
    assert.equal(event.kind, 'enrolled');
    assert.match(event.remote, /^127\.0\.0\.1:\d+$/);
    await Promise.all(served);
    await until('both have gone', () => sockets.size === 0);
    assert.equal(acceptor.halfOpen, 0);

    const connection = await dialRecords(port, await loadCredentials(newDir));
    assert.equal(connection.established.peer.node, 'gray1');
    connection.destroy();
  });

  test('it counts until it has gone; what it says at once, and much, arrives', async (t) => {
    const { port, acceptor, refusals, sockets } = await nativeListener(t, {
      onEnrol: (socket) => socket.pipe(socket),
    });
    const socket = await newcomer(t, port);
    const content = Buffer.alloc(1_000_000, 'what a newcomer says');
    socket.write(content);
    const echo: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
      echo.push(chunk as Buffer);
      bytes += (chunk as Buffer).length;
      if (bytes >= content.length) break;
    }
    assert.ok(Buffer.concat(echo).equals(content));
    assert.equal(acceptor.halfOpen, 1);
    socket.end();
    await until('it is counted out', () => acceptor.halfOpen === 0 && sockets.size === 0);
    assert.deepEqual(refusals, []);
  });

  test('one that hangs up without a word is counted out, too', async (t) => {
    const enrolling: TLSSocket[] = [];
    const { port, acceptor, sockets } = await nativeListener(t, {
      onEnrol: (socket) => enrolling.push(socket.resume()),
    });
    const socket = await newcomer(t, port);
    await until('it enrols', () => enrolling.length === 1);
    assert.equal(acceptor.halfOpen, 1);
    socket.destroy();
    await until('it is gone', () => enrolling[0]!.closed && sockets.size === 0);
    assert.equal(acceptor.halfOpen, 0);
  });

  test('who enrols without an end makes room for a node', async (t) => {
    const { port, acceptor, connections } = await nativeListener(t, {
      limits: { halfOpen: 2 },
      onEnrol: (socket) => socket.resume(),
    });
    const newcomers = [await newcomer(t, port), await newcomer(t, port)];
    for (const socket of newcomers) socket.resume();
    const connection = await dialRecords(port, red);
    await until('one had to go', () => newcomers.filter(({ closed }) => closed).length === 1);
    await until('the node is in', () => connections.length === 1 && acceptor.halfOpen === 1);
    connection.destroy();
  });
});

describe('a native listener', { timeout: 60_000 }, () => {
  test('two hundred silent strangers take no place of a node', async (t) => {
    const limits = { halfOpen: 4, halfOpenPerAddress: 2 };
    const { port, acceptor, connections, sockets } = await nativeListener(t, { limits });
    const silent = Array.from({ length: 200 }, () => connect({ port, host: '127.0.0.1' }));
    for (const socket of silent) socket.on('error', () => {});
    await until('all knock', () => acceptor.halfOpen === 200);
    const connection = await dialRecords(port, red);
    await until('the node is in', () => connections.length === 1);
    for (const each of [connection, ...connections]) each.destroy();
    for (const socket of silent) socket.destroy();
    await until('all are counted out', () => acceptor.halfOpen === 0 && sockets.size === 0);
  });

  test('a herd of one address comes in whole', async (t) => {
    const limits = { halfOpenPerAddress: 3 };
    const { port, connections, refusals } = await nativeListener(t, { limits });
    const herd = await Promise.all(Array.from({ length: 40 }, () => dialRecords(port, red)));
    await until('all are in', () => connections.length === herd.length);
    for (const [index, connection] of herd.entries()) connection.send(Buffer.of(index));
    await Promise.all(
      connections.map((each) => each.until('its byte', () => each.receivedBytes === 1)),
    );
    const said = new Set(connections.map(({ received }) => received[0]));
    assert.equal(said.size, herd.length, 'none is taken for another');
    assert.deepEqual(refusals, []);
    for (const connection of [...herd, ...connections]) connection.destroy();
  });

  test('new credentials hold from the next handshake on; broken ones refuse', async (t) => {
    let credentials = gray;
    const { port, connections, refusals } = await nativeListener(t, {
      credentials: () => credentials,
    });
    const first = await dialRecords(port, red);
    credentials = await testCredentials(await testCa(), { site: 'gray' });
    await assert.rejects(dialRecords(port, red), { code: 'peer-not-verified' });
    credentials = { ...gray, keyPem: red.keyPem };
    await assert.rejects(dialRecords(port, red), { code: 'tls-closed' });
    assert.equal(refusals.at(-1)!.code, 'credentials-invalid');
    credentials = gray;
    const last = await dialRecords(port, red);
    await until('both are in', () => connections.length === 2);
    for (const connection of [first, last, ...connections]) connection.destroy();
  });

  test('close drops unfinished handshakes, and connections live on', async (t) => {
    const { port, acceptor, connections } = await nativeListener(t);
    const connection = await dialRecords(port, red);
    await until('it is in', () => connections.length === 1);
    const silent = connect({ port, host: '127.0.0.1' });
    silent.on('error', () => {});
    await until('half-open', () => acceptor.halfOpen === 1);
    acceptor.close();
    await once(silent.resume(), 'close');
    connection.send(Buffer.from('still here'));
    await connections[0]!.until('data', () => connections[0]!.receivedBytes === 10);
    connection.destroy();
  });
});
