import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { connect as tlsConnect, createServer as createTlsServer, type TLSSocket } from 'node:tls';
import { TlsAcceptor } from '../../../packages/linux/src/tls/handshake/tls-acceptor.ts';
import type { TlsCredentials } from '../../../packages/link/src/transport/lane.ts';
import { testCa, testCredentials } from '../../support/certificates.ts';
import {
  acceptRecords,
  dialRecords,
  HandshakeRefused,
  type RecordConnection,
  type RecordConnectionOptions,
} from '../../support/linux/record-connection.ts';
import type { RawSocket } from '../../support/linux/raw-socket.ts';

const ALPN = ['routy/1'];
const SUITES = ['TLS_AES_128_GCM_SHA256', 'TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256'];

let red: TlsCredentials;
let gray: TlsCredentials;
let stranger: TlsCredentials;
before(async () => {
  const ca = await testCa();
  [red, gray] = await Promise.all([
    testCredentials(ca, { site: 'red', node: 'red1' }),
    testCredentials(ca, { site: 'gray', node: 'gray1' }),
  ]);
  stranger = await testCredentials(await testCa(), { site: 'red', node: 'red1' });
});

const closers: (() => void)[] = [];
after(() => {
  for (const close of closers) close();
});

function tlsOptions({ keyPem, certChainPem, caPem }: TlsCredentials) {
  return { key: keyPem, cert: certChainPem, ca: caPem, ALPNProtocols: ALPN };
}

/** A server of node:tls; each connection it has made is handed to `onSocket`. */
async function tlsServer(
  onSocket: (socket: TLSSocket) => void,
  extra: object = {},
): Promise<number> {
  const options = { ...tlsOptions(gray), requestCert: true, rejectUnauthorized: false, ...extra };
  const server = createTlsServer(options, (socket) => {
    socket.on('error', () => {});
    closers.push(() => socket.destroy());
    onSocket(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  closers.push(() => server.close());
  return (server.address() as { port: number }).port;
}

/** A server with our record layer; resolves for each connection. */
async function recordServer(
  options: RecordConnectionOptions = {},
  acceptor = new TlsAcceptor<RawSocket>(() => gray),
): Promise<{ port: number; next: () => Promise<RecordConnection>; sockets: Socket[] }> {
  const made: Promise<RecordConnection>[] = [];
  const sockets: Socket[] = [];
  let wake = () => {};
  const server = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
    sockets.push(socket);
    closers.push(() => socket.destroy());
    const connection = acceptRecords(socket, acceptor, options);
    connection.catch(() => {});
    made.push(connection);
    wake();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  closers.push(() => server.close());
  const next = async () => {
    while (made.length === 0) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    return made.shift()!;
  };
  return { port: (server.address() as { port: number }).port, next, sockets };
}

function dialNode(port: number, credentials: TlsCredentials, extra: object = {}): TLSSocket {
  const options = { ...tlsOptions(credentials), checkServerIdentity: () => undefined, ...extra };
  const socket = tlsConnect({ port, host: '127.0.0.1', ...options });
  socket.on('error', () => {});
  return socket;
}

for (const ciphers of SUITES) {
  describe(`${ciphers} with node:tls`, () => {
    test('as its client: data both ways, and an orderly end', async () => {
      const port = await tlsServer((socket) => socket.pipe(socket), {
        ciphers,
        minVersion: 'TLSv1.3',
      });
      const connection = await dialRecords(port, red);
      assert.deepEqual(connection.established.peer, gray.identity);
      assert.equal(connection.established.security, `TLSv1.3 ${ciphers}`);
      const content = randomBytes(300_000);
      connection.send(content);
      await connection.until('the echo', () => connection.receivedBytes === content.length);
      assert.deepEqual(connection.received, content);
      connection.end();
      await connection.until('the end', () => connection.layer.isEnded);
      assert.equal(connection.layer.failure, undefined);
      connection.destroy();
    });

    test('as its server: data both ways behind its tickets, and an orderly end', async () => {
      const { port, next } = await recordServer();
      const socket = dialNode(port, red, { ciphers, minVersion: 'TLSv1.3' });
      const connection = await next();
      assert.deepEqual(connection.established.peer, red.identity);
      assert.equal(connection.established.sentRecords, 2, 'the tickets of OpenSSL');
      const content = randomBytes(300_000);
      socket.write(content);
      await connection.until('data', () => connection.receivedBytes === content.length);
      assert.deepEqual(connection.received, content);
      connection.send(connection.received);
      const echo: Buffer[] = [];
      for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
        echo.push(chunk as Buffer);
        if (Buffer.concat(echo).length === content.length) break;
      }
      assert.deepEqual(Buffer.concat(echo), content);
      const ended = once(socket, 'end');
      socket.resume();
      connection.end();
      await ended;
      await connection.until('its end', () => connection.layer.isEnded);
      connection.destroy();
      socket.destroy();
    });
  });
}

describe('taking over from a handshake', () => {
  test('bytes that come one by one, and data right behind the handshake', async () => {
    const port = await tlsServer((socket) => {
      socket.write('first');
      socket.pipe(socket);
    });
    const connection = await dialRecords(port, red, { stride: 1 });
    connection.send(Buffer.from(' second'));
    await connection.until('both', () => connection.receivedBytes === 12);
    assert.equal(connection.received.toString(), 'first second');
    connection.destroy();
  });

  test('a client that speaks at once loses nothing', async () => {
    for (const stride of [1, 7, 100_000]) {
      const { port, next } = await recordServer({ stride });
      const socket = dialNode(port, red);
      const content = randomBytes(40_000);
      socket.write(content);
      const connection = await next();
      await connection.until('data', () => connection.receivedBytes === content.length);
      assert.deepEqual(connection.received, content);
      connection.destroy();
      socket.destroy();
    }
  });

  test('both ends have taken over: data both ways, keys updated again and again', async () => {
    const { port, next } = await recordServer({ recordsMax: 3 });
    const dialled = dialRecords(port, red, { recordsMax: 5 });
    const [client, server] = await Promise.all([dialled, next()]);
    assert.deepEqual(client.established.exporter, server.established.exporter);
    const content = randomBytes(1_000_000);
    client.send(content);
    server.send(content);
    await Promise.all([
      client.until('data', () => client.receivedBytes === content.length),
      server.until('data', () => server.receivedBytes === content.length),
    ]);
    assert.deepEqual(client.received, content);
    assert.deepEqual(server.received, content);
    assert.ok(server.layer.counts.keyUpdatesSent >= 30);
    client.destroy();
    server.destroy();
  });

  test('ten clients at once are not mixed up', async () => {
    const { port, next } = await recordServer({ stride: 50 });
    const clients = await Promise.all(Array.from({ length: 10 }, () => dialRecords(port, red)));
    const servers = await Promise.all(clients.map(() => next()));
    for (const [index, client] of clients.entries()) client.send(Buffer.of(index));
    await Promise.all(
      servers.map((server) => server.until('a byte', () => server.receivedBytes === 1)),
    );
    const seen = new Set(servers.map((server) => server.received[0]));
    assert.equal(seen.size, 10);
    for (const connection of [...clients, ...servers]) connection.destroy();
  });
});

describe('key updates with node:tls, whose OpenSSL answers', () => {
  test('we go on with new keys, and ask for its own', async () => {
    const port = await tlsServer((socket) => socket.pipe(socket));
    const connection = await dialRecords(port, red, { recordsMax: 4 });
    const content = randomBytes(200_000);
    for (let round = 1; round <= 3; round++) {
      connection.send(content);
      connection.layer.updateKeys();
      connection.send();
      await connection.until('the echo', () => connection.receivedBytes === round * content.length);
    }
    assert.deepEqual(connection.received, Buffer.concat([content, content, content]));
    assert.ok(connection.layer.counts.keyUpdatesSent >= 10);
    assert.ok(connection.layer.counts.keyUpdatesReceived >= 3);
    assert.equal(connection.layer.failure, undefined);
    connection.destroy();
  });
});

describe('what a handshake refuses', () => {
  const failure = (code: string, fault?: string) => (error: unknown) => {
    assert.ok(error instanceof HandshakeRefused, String(error));
    const { failure } = error;
    assert.deepEqual([failure.code, failure.cause], [code, fault], error.message);
    return true;
  };

  test('a server of another CA, by name, after a close in the words of TLS', async () => {
    let isEnded = false;
    const port = await tlsServer((socket) => {
      socket.resume();
      socket.once('end', () => {
        isEnded = true;
      });
    });
    const strange = { ...red, caPem: stranger.caPem };
    await assert.rejects(dialRecords(port, strange), { code: 'peer-not-verified' });
    for (let n = 0; n < 100 && !isEnded; n++) await new Promise((done) => setImmediate(done));
    assert.ok(isEnded);
  });

  test('a client of another CA, and one without a certificate', async () => {
    const { port, next } = await recordServer();
    const one = dialNode(port, { ...stranger, caPem: gray.caPem });
    await assert.rejects(next(), failure('peer-not-verified', 'other-ca'));
    const other = tlsConnect({
      port,
      host: '127.0.0.1',
      ca: gray.caPem,
      ALPNProtocols: ALPN,
      checkServerIdentity: () => undefined,
    });
    other.on('error', () => {});
    await assert.rejects(next(), failure('peer-not-verified', 'no-certificate'));
    one.destroy();
    other.destroy();
  });

  test('a node of another fabric', async () => {
    const { port, next } = await recordServer(
      {},
      new TlsAcceptor<RawSocket>(() => ({
        ...gray,
        identity: { ...gray.identity, fabric: 'other' },
      })),
    );
    const socket = dialNode(port, red);
    await assert.rejects(next(), failure('peer-not-verified', 'other-fabric'));
    socket.destroy();
  });

  test('another ALPN, TLS 1.2, and what is not TLS', async () => {
    const { port, next } = await recordServer();
    const alpn = dialNode(port, red, { ALPNProtocols: ['h2'] });
    await assert.rejects(next(), failure('alpn'));
    const old = dialNode(port, red, { maxVersion: 'TLSv1.2' });
    await assert.rejects(next(), failure('tls-version'));
    const { connect } = await import('node:net');
    const http = connect({ port, host: '127.0.0.1' });
    http.on('error', () => {});
    http.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
    await assert.rejects(next(), failure('not-tls'));
    for (const socket of [alpn, old, http]) socket.destroy();
  });

  test('a peer that hangs up, and a signal that fires', async () => {
    const { port, next } = await recordServer();
    const { connect } = await import('node:net');
    const socket = connect({ port, host: '127.0.0.1' });
    socket.end(Buffer.from('160301', 'hex'));
    await assert.rejects(next(), failure('closed'));
    const silent = createServer((socket) => closers.push(() => socket.destroy()));
    silent.listen(0, '127.0.0.1');
    await once(silent, 'listening');
    closers.push(() => silent.close());
    const controller = new AbortController();
    const silentPort = (silent.address() as { port: number }).port;
    const dialled = dialRecords(silentPort, red, { signal: controller.signal });
    setImmediate(() => controller.abort(new Error('enough')));
    await assert.rejects(dialled, /enough|abort/i);
  });
});

describe('the end of a connection with node:tls', () => {
  test('a socket that ends without close_notify is truncated', async () => {
    const { port, next } = await recordServer();
    const socket = dialNode(port, red);
    const connection = await next();
    socket.write('half');
    await connection.until('data', () => connection.receivedBytes === 4);
    // Node ends TCP and says nothing of it in TLS.
    socket.destroy();
    await connection.until('the end', () => connection.layer.failure !== undefined);
    assert.equal(connection.layer.failure?.kind, 'truncated');
    connection.destroy();
  });

  test('a record changed on the way ends both ends with bad_record_mac', async () => {
    const { port, next, sockets } = await recordServer();
    const socket = dialNode(port, red);
    const connection = await next();
    const failed = once(socket, 'error') as Promise<[NodeJS.ErrnoException]>;
    // Not of this key: what the peer sees is a record whose tag does not fit.
    sockets[0]!.write(Buffer.concat([Buffer.of(23, 3, 3, 0, 40), randomBytes(40)]));
    assert.match((await failed)[0].code ?? '', /BAD_RECORD_MAC|DECRYPTION_FAILED/);
    await connection.until('its alert', () => connection.layer.failure !== undefined);
    assert.deepEqual(
      [connection.layer.failure?.kind, connection.layer.failure?.alert],
      ['alert', 'bad_record_mac'],
    );
    connection.destroy();
  });
});
