import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { type ConnectionOptions, type TLSSocket, connect as tlsConnect } from 'node:tls';
import { dialLane } from '../../../packages/link/src/transport/dial.ts';
import type { Lane, TlsCredentials } from '../../../packages/link/src/transport/lane.ts';
import type { ListenOptions } from '../../../packages/link/src/transport/listen.ts';
import { ALPN_ENROL, ALPN_LANE } from '../../../packages/link/src/transport/tls/tls-context.ts';
import { backoffCapMs, NETWORK_CAP_MS } from '../../../packages/proto/src/base/backoff.ts';
import { type TestCa, testCa, testCredentials } from '../../support/certificates.ts';
import {
  type LaneMaker,
  LaneRecorder,
  LOOPBACK,
  type TestListener,
  testListener as testListenerBy,
  until,
} from '../../support/lanes/lane-pair.ts';
import { LANE_KINDS } from '../../support/lanes/native-lanes.ts';

for (const [kind, lanes] of Object.entries(LANE_KINDS)) {
  describe(`listening on ${kind}`, { timeout: 60_000 }, () => listening(lanes));
}

function listening(lanes: LaneMaker): void {
  const testListener = (credentials: TlsCredentials, options: Partial<ListenOptions> = {}) =>
    testListenerBy(credentials, options, lanes.listen);
  let ca: TestCa;
  let red: TlsCredentials;
  let gray: TlsCredentials;

  before(async () => {
    ca = await testCa();
    red = await testCredentials(ca, { site: 'red' });
    gray = await testCredentials(ca, { site: 'gray' });
  });

  describe('who may not come in', () => {
    let server: TestListener;
    before(async () => {
      server = await testListener(gray);
    });
    after(() => server.close());

    test('certificates that prove nothing, each with its reason', async () => {
      const sameName = await testCa('fabric1');
      const cases: [TlsCredentials | undefined, RegExp][] = [
        [undefined, /^no certificate was presented$/],
        [
          await testCredentials(sameName),
          /^certificate of routy:\/\/fabric1\/red\/red1 is signed by/,
        ],
        [
          await testCredentials(await testCa('fabric2')),
          /fabric2\/red\/red1 is signed by another CA$/,
        ],
        [
          await testCredentials(ca, { notBeforeDays: -2, notAfterDays: -1 }),
          /fabric1\/red\/red1 has expired \(on \d{4}-/,
        ],
        [await testCredentials(ca, { notBeforeDays: 0.5 }), /is not valid before/],
        [
          await testCredentials(ca, { fabric: 'fabric2' }),
          /is of fabric "fabric2", this is fabric/,
        ],
        [await testCredentials(ca, { uris: [] }), /names no node of any fabric/],
      ];
      for (const [credentials, reason] of cases) {
        const refusal = await refusalOf(async () => {
          const client = tlsClient(server, {
            ...withCertificate(credentials),
            ALPNProtocols: [ALPN_LANE],
          });
          // Sent in the same flight as the client's part of the handshake.
          client.once('secureConnect', () => client.write(randomBytes(50_000)));
          const received = await drained(client);
          assert.equal(received, 0);
        });
        assert.equal(refusal.code, 'peer-not-verified');
        assert.match(refusal.reason, reason);
        assert.match(refusal.remoteAddress, /^127\.0\.0\.1:\d+$/);
      }
      assert.equal(server.lanes.length, 0, 'somebody came in');
    });

    test('other protocols over TLS', async () => {
      const none = await refusalOf(() => drained(tlsClient(server, withCertificate(red))));
      assert.equal(none.code, 'alpn');
      assert.match(none.reason, /offers neither routy\/1 nor routy-enrol\/1/);
      const http = await refusalOf(() =>
        drained(tlsClient(server, { ...withCertificate(red), ALPNProtocols: ['h2', 'http/1.1'] })),
      );
      assert.equal(http.code, 'alpn');
    });

    test('TLS 1.2', async () => {
      const refusal = await refusalOf(() =>
        drained(tlsClient(server, { ...withCertificate(red), maxVersion: 'TLSv1.2' })),
      );
      assert.equal(refusal.code, 'tls-version');
    });

    test('what is not TLS', async () => {
      const samples = [
        Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'),
        Buffer.from('CONNECT x:1 HTTP/1.1\r\n\r\n'),
        Buffer.from('SSH-2.0-OpenSSH_9.2\r\n'),
        Buffer.from('PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n'),
        Buffer.alloc(4096),
        Buffer.alloc(4096, 0xff),
        // A handshake record as long as it can say, with nothing in it that makes sense.
        Buffer.concat([Buffer.from('1603014000', 'hex'), Buffer.alloc(0x4000, 0x41)]),
      ];
      for (const sample of samples) {
        const refusal = await refusalOf(() => drained(tcpClient(server, sample)));
        assert.equal(refusal.code, 'not-tls', `${sample.subarray(0, 20).toString('latin1')}`);
        assert.match(refusal.reason, /^not TLS \(/);
      }
    });

    test('random bytes never get in and never hurt', async () => {
      for (let i = 0; i < 60; i++) {
        const sample = randomBytes(1 + ((i * 37) % 700));
        // Half of them begin like TLS.
        if (i % 2 === 0) Buffer.from('160301', 'hex').copy(sample);
        const client = tcpClient(server, sample);
        const refusal = await refusalOf(async () => {
          client.once('connect', () => setTimeout(() => client.end(), 5));
          await drained(client);
        });
        assert.match(refusal.code, /^(not-tls|tls-failed|tls-version|closed)$/);
      }
      await assertStillWorks(server);
    });

    test('somebody who only knocks', async () => {
      const refusal = await refusalOf(async () => {
        const client = tcpClient(server);
        client.once('connect', () => client.end());
        await drained(client);
      });
      assert.equal(refusal.code, 'closed');
      assert.equal(refusal.reason, 'hung up during the TLS handshake');
      assert.equal(refusal.bytes, 0);
      await until('it is counted out', () => server.listener.halfOpen === 0);
    });

    /** The one refusal that `work` causes. */
    async function refusalOf(work: () => Promise<unknown>) {
      const count = server.refusals.length;
      await work();
      await until('a refusal', () => server.refusals.length > count);
      await until('it is counted out', () => server.listener.halfOpen === 0);
      assert.equal(server.refusals.length, count + 1, 'refused more than once');
      return server.refusals[count]!;
    }
  });

  test('a slow client does not live longer by sending a byte now and then', async () => {
    const server = await testListener(gray, { timeouts: { handshakeMs: 200 } });
    // The start of a record of 512 bytes: it is TLS as far as anybody can tell.
    const client = tcpClient(server, Buffer.from('16030102000100', 'hex'));
    const dripping = setInterval(() => client.write(Uint8Array.of(1)), 20);
    const startedAt = performance.now();
    await drained(client);
    clearInterval(dripping);
    const lasted = performance.now() - startedAt;
    assert.ok(lasted >= 150 && lasted < 3000, `it lasted ${lasted} ms`);
    assert.equal(server.refusals.length, 1);
    assert.equal(server.refusals[0]!.code, 'handshake-timeout');
    assert.match(server.refusals[0]!.reason, /within 200 ms$/);
    assert.ok(server.refusals[0]!.bytes! > 7);
    await server.close();
  });

  test('silent strangers make room for a node, the oldest first', async () => {
    const server = await testListener(gray, { limits: { waiting: 3, halfOpenPerAddress: 1 } });
    const silent: Socket[] = [];
    for (let i = 0; i < 3; i++) {
      silent.push(await connected(tcpClient(server)));
      await until('it is half-open', () => server.listener.halfOpen === i + 1);
    }
    const firstPort = silent[0]!.localPort;
    await assertStillWorks(server);
    await drained(silent[0]!);
    assert.deepEqual(
      server.refusals.map(({ code, reason }) => [code, reason]),
      [['overload', 'too many connections wait for a handshake']],
    );
    assert.equal(server.refusals[0]!.remoteAddress, `127.0.0.1:${firstPort}`);
    assert.equal(server.listener.halfOpen, 2);
    assert.ok(!silent[1]!.closed && !silent[2]!.closed);
    for (const client of silent) client.destroy();
    await until('room again', () => server.listener.halfOpen === 0);
    await server.close();
  });

  test('two hundred silent strangers take no place of a node', async () => {
    const server = await testListener(gray, { limits: { halfOpen: 4, halfOpenPerAddress: 2 } });
    const silent = await Promise.all(
      Array.from({ length: 200 }, () => connected(tcpClient(server))),
    );
    await until('all knock', () => server.listener.halfOpen === 200);
    await assertStillWorks(server);
    assert.deepEqual(server.refusals, []);
    for (const client of silent) client.destroy();
    await server.close();
  });

  test('a herd of one address comes in whole: newcomers wait, and what has begun is finished', async () => {
    const server = await testListener(gray, { limits: { halfOpenPerAddress: 1 } });
    const address = server.listener.address;
    const dial = () => dialLane({ address, credentials: red });
    const herd = await Promise.all(Array.from({ length: 60 }, dial));
    await until('all are in', () => server.lanes.length === 60);
    assert.deepEqual(server.refusals, []);
    for (const lane of herd) lane.destroy();
    await server.close();
  });

  test('a handshake that stands still gives way, and is told no refusal', async () => {
    const server = await testListener(gray, { limits: { halfOpenPerAddress: 2 } });
    // The start of a record: TLS waits for its rest.
    const stalled = [0, 1].map(() => tcpClient(server, Buffer.from('16030102000100', 'hex')));
    await until('both have begun', () => server.listener.halfOpen === 2);
    await assertStillWorks(server);
    assert.deepEqual(
      server.refusals.map(({ code, reason }) => [code, reason]),
      [['overload', 'it stood still while others waited for a handshake']],
    );
    for (const client of stalled) client.destroy();
    await server.close();
  });

  test('whoever gives way after its own part of the handshake knows that it may come again soon', async () => {
    const server = await testListener(gray, { limits: { halfOpenPerAddress: 1 } });
    const address = server.listener.address;
    // Passes on the dialler's first part alone: it takes the lane for up, the listener waits.
    const relay = createServer((socket) => {
      const onward = connect({ host: address.host, port: address.port });
      socket.once('data', (hello) => onward.write(hello)).on('error', () => undefined);
      onward.on('data', (chunk) => socket.write(chunk));
      onward.on('end', () => socket.end());
      onward.on('error', () => socket.resetAndDestroy());
    });
    relay.listen(0, '127.0.0.1');
    await once(relay, 'listening');
    const { port } = relay.address() as AddressInfo;
    const lane = await dialLane({ address: { ...LOOPBACK, port }, credentials: red });
    const recorder = new LaneRecorder();
    lane.bind(recorder);
    await assertStillWorks(server);
    await until('it is told', () => recorder.closes.length === 1);
    assert.equal(server.refusals[0]!.code, 'overload');
    assert.equal(backoffCapMs(recorder.closes[0]?.code), NETWORK_CAP_MS, recorder.closes[0]?.code);
    relay.close();
    await server.close();
  });

  test('a dialler with no room to wait in knows that it may come again soon', async () => {
    const server = await testListener(gray, {
      limits: { halfOpenPerAddress: 1, waitingPerAddress: 1 },
    });
    const stalled = tcpClient(server, Buffer.from('16030102000100', 'hex'));
    await until('it has begun', () => server.listener.halfOpen === 1);
    const address = server.listener.address;
    const outcomes = await Promise.allSettled(
      Array.from({ length: 8 }, () => dialLane({ address, credentials: red })),
    );
    const errors = outcomes.flatMap((each) => (each.status === 'rejected' ? [each.reason] : []));
    assert.ok(errors.length >= 1, 'somebody was sent away');
    for (const { code } of errors) {
      assert.equal(code, 'tls-closed');
      assert.equal(backoffCapMs(code), NETWORK_CAP_MS);
    }
    stalled.destroy();
    for (const each of outcomes) if (each.status === 'fulfilled') each.value.destroy();
    await server.close();
  });

  test('who enrols without an end makes room for a node, too', async () => {
    const accepted: Lane[] = [];
    const server = await testListener(gray, {
      limits: { halfOpen: 2 },
      handlers: {
        ...NO_HANDLERS,
        onLane: (lane) => accepted.push(lane),
        onEnrol: () => undefined,
      },
    });
    const clients = [ALPN_ENROL, ALPN_ENROL].map((each) =>
      tlsClient(server, { ALPNProtocols: [each] }),
    );
    for (const client of clients) client.resume();
    await Promise.all(clients.map((client) => once(client, 'secureConnect')));
    const lane = await dialLane({ address: server.listener.address, credentials: red });
    await until('one had to go', () => clients.filter((client) => client.closed).length === 1);
    await until('the lane is in', () => server.listener.halfOpen === 1);
    for (const each of [...clients, lane, ...accepted]) each.destroy();
    await server.close();
  });

  test('one address cannot take all the room', async () => {
    const limits = { waitingPerAddress: 2, halfOpenPerAddress: 1 };
    const server = await testListener(gray, { limits });
    const { port } = server.listener.address;
    const greedy: Socket[] = [];
    for (let i = 0; i < 2; i++) {
      greedy.push(await connected(tcpClient(server)));
      await until('it is half-open', () => server.listener.halfOpen === i + 1);
    }
    const other = connect({ host: '127.0.0.1', port, localAddress: '127.0.0.2' });
    await until('another address comes in', () => server.listener.halfOpen === 3);
    greedy.push(await connected(tcpClient(server)));
    await drained(greedy[0]!);
    assert.equal(server.refusals[0]!.code, 'overload');
    assert.equal(server.refusals.length, 1);
    assert.equal(server.listener.halfOpen, 3);
    for (const client of [...greedy, other]) client.destroy();
    await until('all counted out', () => server.listener.halfOpen === 0);
    await assertStillWorks(server);
    await server.close();
  });

  test('open lanes do not count as half-open', async () => {
    const server = await testListener(gray, { limits: { halfOpen: 2 } });
    const open = [];
    for (let i = 0; i < 5; i++) {
      open.push(await dialLane({ address: server.listener.address, credentials: red }));
      await until('it is in', () => server.lanes.length === i + 1);
    }
    assert.equal(server.listener.halfOpen, 0);
    for (const lane of open) lane.destroy();
    await server.close();
  });

  test('a newcomer without certificate gets to enrol, and counts until it has gone', async () => {
    const enrolled: string[] = [];
    const server = await testListener(gray, {
      handlers: {
        ...NO_HANDLERS,
        onEnrol: (socket, remoteAddress) => {
          enrolled.push(remoteAddress);
          socket.on('data', (chunk: Buffer) => socket.write(chunk.toString().toUpperCase()));
        },
      },
    });
    const client = tlsClient(server, { ALPNProtocols: [ALPN_ENROL] });
    await once(client, 'secureConnect');
    assert.ok(client.authorized);
    client.write('hello');
    assert.equal(String((await once(client, 'data'))[0]), 'HELLO');
    assert.match(enrolled[0]!, /^127\.0\.0\.1:\d+$/);
    assert.equal(server.listener.halfOpen, 1);
    client.destroy();
    await until('it is counted out', () => server.listener.halfOpen === 0);
    assert.deepEqual(server.refusals, []);
    await server.close();
  });

  test('a session cannot be resumed with the tickets that are sent: every handshake shows the certificate', async () => {
    const server = await testListener(gray);
    const options = { ...withCertificate(red), ALPNProtocols: [ALPN_LANE] };
    const first = tlsClient(server, options);
    const tickets: Buffer[] = [];
    first.on('session', (ticket: Buffer) => tickets.push(ticket));
    await until('it is in', () => server.lanes.length === 1);
    server.lanes[0]!.write([Buffer.from('x')]);
    await once(first, 'data');
    // Node gives no way to send none (TLS_PROFILE): when it does, the words there change.
    assert.equal(tickets.length, 2);
    const session = tickets[0]!;
    const second = tlsClient(server, { ...options, session });
    await once(second, 'secureConnect');
    assert.equal(second.isSessionReused(), false);
    first.destroy();
    second.destroy();
    await server.close();
  });

  test('new credentials hold from the next handshake on', async () => {
    let current = gray;
    const server = await testListener(gray, { credentials: () => current });
    const address = server.listener.address;
    const before = await dialLane({ address, credentials: red });
    assert.equal(before.peer.node, 'gray1');
    current = await testCredentials(ca, { site: 'gray', node: 'gray2' });
    const after = await dialLane({ address, credentials: red });
    assert.equal(after.peer.node, 'gray2');
    const recorder = new LaneRecorder();
    before.bind(recorder);
    await until('both are in', () => server.lanes.length === 2);
    server.lanes[0]!.write([Buffer.from('still here')]);
    await until('the old lane works', () => recorder.bytes === 10);
    current = { ...current, keyPem: 'broken' };
    await assert.rejects(dialLane({ address, credentials: red }), { code: 'tls-closed' });
    assert.equal(server.refusals[0]?.code, 'credentials-invalid');
    before.destroy();
    after.destroy();
    await server.close();
  });

  test('close drops unfinished handshakes, and lanes live on', async () => {
    const server = await testListener(gray);
    const lane = await dialLane({ address: server.listener.address, credentials: red });
    const recorder = new LaneRecorder();
    lane.bind(recorder);
    await until('it is in', () => server.lanes.length === 1);
    const knocking = await connected(tcpClient(server));
    await until('half-open', () => server.listener.halfOpen === 1);
    await server.listener.close();
    await drained(knocking);
    server.lanes[0]!.write([Buffer.from('still here')]);
    await until('the lane works', () => recorder.bytes === 10);
    await drained(tcpClient(server));
    assert.deepEqual(server.refusals, []);
    lane.destroy();
    await server.close();
  });

  test('an address that cannot be had', async () => {
    const server = await testListener(gray);
    const { port } = server.listener.address;
    const attempt = (address: { host: string; port: number }) =>
      lanes.listen({
        address: { kind: 'tcp', ...address },
        credentials: () => gray,
        handlers: NO_HANDLERS,
      });
    await assert.rejects(
      attempt({ host: '127.0.0.1', port }),
      (error: Error & { hint?: string }) => {
        assert.match(error.message, new RegExp(`^cannot listen on 127.0.0.1:${port}: `));
        assert.match(error.hint ?? '', new RegExp(`ss -ltnp 'sport = :${port}'`));
        return (error as { code?: string }).code === 'listen-in-use';
      },
    );
    await assert.rejects(attempt({ host: '192.0.2.1', port: 0 }), { code: 'listen-no-address' });
    const broken = { ...gray, keyPem: red.keyPem };
    await assert.rejects(
      lanes.listen({ address: LOOPBACK, credentials: () => broken, handlers: NO_HANDLERS }),
      { code: 'credentials-invalid' },
    );
    await server.close();
  });

  const NO_HANDLERS = {
    onLane: () => assert.fail('a lane'),
    onRefused: () => undefined,
    onEnrol: () => assert.fail('an enrolment'),
    onError: (error: Error) => assert.fail(error),
  };

  async function assertStillWorks(server: TestListener): Promise<void> {
    const count = server.lanes.length;
    const lane = await dialLane({ address: server.listener.address, credentials: red });
    await until('a lane comes in', () => server.lanes.length === count + 1);
    lane.destroy();
  }

  function tlsClient(server: TestListener, options: ConnectionOptions): TLSSocket {
    const { host, port } = server.listener.address;
    const client = tlsConnect({
      host,
      port,
      ca: ca.certPem,
      checkServerIdentity: () => undefined,
      ...options,
    });
    client.on('error', () => undefined);
    return client;
  }

  function withCertificate(credentials: TlsCredentials | undefined): ConnectionOptions {
    if (credentials === undefined) return {};
    return { key: credentials.keyPem, cert: credentials.certChainPem };
  }
}

function tcpClient(server: TestListener, first?: Uint8Array): Socket {
  const { host, port } = server.listener.address;
  const client = connect({ host, port });
  client.on('error', () => undefined);
  if (first !== undefined) client.write(first);
  return client;
}

async function connected(client: Socket): Promise<Socket> {
  if (client.connecting) await once(client, 'connect');
  return client;
}

/** Reads until the other end hangs up; the number of bytes that came. */
async function drained(client: Socket): Promise<number> {
  let bytes = 0;
  client.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
  });
  // Not `once`, which would reject with an error that is expected here.
  if (!client.closed) await new Promise((resolve) => client.once('close', resolve));
  return bytes;
}
