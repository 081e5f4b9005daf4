import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { TlsAcceptor } from '../../packages/linux/src/tls/handshake/tls-acceptor.ts';
import type { TlsCredentials } from '../../packages/link/src/transport/lane.ts';
import { testCa, testCredentials } from '../support/certificates.ts';
import {
  acceptRecords,
  dialRecords,
  type RecordConnection,
  type RecordConnectionOptions,
} from '../support/record-connection.ts';
import type { RawSocket } from '../support/raw-socket.ts';

const SUITES = ['TLS_AES_128_GCM_SHA256', 'TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256'];

let red: TlsCredentials;
let gray: TlsCredentials;
const directory = mkdtempSync(join(tmpdir(), 'routy-openssl-'));
const closers: (() => void)[] = [() => rmSync(directory, { recursive: true, force: true })];

before(async () => {
  const ca = await testCa();
  red = await testCredentials(ca, { site: 'red' });
  gray = await testCredentials(ca, { site: 'gray' });
});

after(() => {
  for (const close of closers.reverse()) close();
});

/** `openssl` with the papers of a node; what it prints of the connection goes to `output`. */
function openssl(command: string, credentials: TlsCredentials, options: readonly string[]) {
  const name = credentials.identity.site;
  const papers = { key: credentials.keyPem, cert: credentials.certChainPem, ca: credentials.caPem };
  const paths = Object.entries(papers).map(([kind, pem]) => {
    const path = join(directory, `${name}.${kind}`);
    writeFileSync(path, pem, { mode: 0o600 });
    return path;
  });
  const [key, cert, ca] = paths as [string, string, string];
  const args = [command, '-key', key, '-cert', cert, '-CAfile', ca, '-alpn', 'routy/1', '-tls1_3'];
  const child = spawn('openssl', [...args, ...options]);
  const process = { child, output: '' };
  const take = (chunk: Buffer) => {
    process.output += chunk.toString('latin1');
    child.emit('said');
  };
  child.stdout.on('data', take);
  child.stderr.on('data', take);
  child.stdin.on('error', () => {});
  closers.push(() => child.kill('SIGKILL'));
  return process;
}

async function says(process: { child: ChildProcess; output: string }, text: string): Promise<void> {
  while (!process.output.includes(text)) {
    await once(process.child, 'said', { signal: AbortSignal.timeout(20_000) });
  }
}

/** Our server for one `openssl s_client`. */
async function withClient(options: readonly string[], own: RecordConnectionOptions = {}) {
  const acceptor = new TlsAcceptor<RawSocket>(() => gray);
  const server = createServer({ noDelay: true, allowHalfOpen: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  closers.push(() => server.close());
  const { port } = server.address() as { port: number };
  const client = openssl('s_client', red, ['-connect', `127.0.0.1:${port}`, ...options]);
  const [socket] = (await once(server, 'connection')) as [Socket];
  closers.push(() => socket.destroy());
  const connection = await acceptRecords(socket, acceptor, own);
  return { client, connection, socket };
}

/** One `openssl s_server` for our client. */
async function withServer(options: readonly string[], own: RecordConnectionOptions = {}) {
  const server = openssl('s_server', gray, ['-accept', '127.0.0.1:0', '-Verify', '1', ...options]);
  await says(server, 'ACCEPT ');
  const port = Number(/ACCEPT 127\.0\.0\.1:(\d+)/.exec(server.output)![1]);
  const connection = await dialRecords(port, red, own);
  closers.push(() => connection.destroy());
  return { server, connection };
}

function carries(connection: RecordConnection, content: Buffer): Promise<void> {
  return connection.until('data', () => connection.received.includes(content));
}

for (const suite of SUITES) {
  describe(`openssl with ${suite}`, () => {
    test('s_client: lines both ways, byte by byte, and an orderly end', async () => {
      const { client, connection } = await withClient(['-ciphersuites', suite], { stride: 1 });
      assert.equal(connection.established.security, `TLSv1.3 ${suite}`);
      client.child.stdin.write('hello from s_client\n');
      await carries(connection, Buffer.from('hello from s_client\n'));
      connection.send(Buffer.from('hello '), Buffer.from('from the record layer\n'));
      await says(client, 'hello from the record layer');
      client.child.stdin.write('Q\n');
      await connection.until('close_notify', () => connection.layer.isEnded);
      assert.equal(connection.layer.failure, undefined);
      connection.destroy();
    });

    test('s_server: lines both ways, byte by byte, and an orderly end', async () => {
      const { server, connection } = await withServer(['-ciphersuites', suite], { stride: 1 });
      connection.send(Buffer.from('hello from the record layer\n'));
      await says(server, 'hello from the record layer');
      server.child.stdin.write('hello from s_server\n');
      await carries(connection, Buffer.from('hello from s_server\n'));
      assert.equal(connection.layer.counts.tickets, 2);
      connection.end();
      await connection.until('its close_notify', () => connection.layer.isEnded);
      assert.equal(connection.layer.failure, undefined);
    });
  });
}

describe('records of openssl', () => {
  test('many tickets are counted, none is read as data', async () => {
    const { server, connection } = await withServer(['-num_tickets', '10']);
    server.child.stdin.write('behind the tickets\n');
    await carries(connection, Buffer.from('behind the tickets\n'));
    assert.equal(connection.layer.counts.tickets, 10);
    assert.equal(connection.received.toString(), 'behind the tickets\n');
  });

  for (const padding of ['512', '16384']) {
    test(`are padded to ${padding} bytes`, async () => {
      const { client, connection } = await withClient(['-record_padding', padding]);
      for (let n = 0; n < 5; n++) {
        client.child.stdin.write(`line ${n}\n`);
        await carries(connection, Buffer.from(`line ${n}\n`));
      }
      assert.equal(connection.layer.failure, undefined);
    });
  }

  test('data in records of 512 bytes and of 16 KiB', async () => {
    for (const options of [['-max_send_frag', '512'], []]) {
      const { client, connection } = await withClient(['-quiet', ...options], { stride: 1000 });
      const content = Buffer.from(randomBytes(150_000).toString('hex'));
      client.child.stdin.write(content);
      await connection.until('data', () => connection.receivedBytes === content.length);
      assert.deepEqual(connection.received, content);
      connection.destroy();
    }
  });
});

describe('key updates with openssl', () => {
  test('s_client updates its key, and requests ours', async () => {
    const { client, connection } = await withClient([]);
    for (let n = 1; n <= 3; n++) {
      client.child.stdin.write('k\n');
      await connection.until(
        'KeyUpdate',
        () => connection.layer.counts.keyUpdatesReceived === 2 * n - 1,
      );
      assert.equal(connection.layer.counts.keyUpdatesSent, n - 1);
      client.child.stdin.write('K\n');
      await connection.until(
        'KeyUpdate',
        () => connection.layer.counts.keyUpdatesReceived === 2 * n,
      );
      assert.equal(connection.layer.counts.keyUpdatesSent, n);
      client.child.stdin.write(`line ${n}\n`);
      await carries(connection, Buffer.from(`line ${n}\n`));
      connection.send(Buffer.from(`answer ${n}\n`));
      await says(client, `answer ${n}`);
    }
  });

  test('s_server updates its key, and requests ours', async () => {
    const { server, connection } = await withServer([]);
    server.child.stdin.write('k\n');
    await connection.until('KeyUpdate', () => connection.layer.counts.keyUpdatesReceived === 1);
    server.child.stdin.write('K\n');
    await connection.until('KeyUpdate', () => connection.layer.counts.keyUpdatesReceived === 2);
    assert.equal(connection.layer.counts.keyUpdatesSent, 1);
    connection.send(Buffer.from('with the next key\n'));
    await says(server, 'with the next key');
    server.child.stdin.write('and back\n');
    await carries(connection, Buffer.from('and back\n'));
  });

  test('ours come before the limit, and openssl answers what is requested', async () => {
    const { server, connection } = await withServer([], { recordsMax: 2 });
    for (let n = 0; n < 10; n++) {
      connection.send(Buffer.from(`line ${n}\n`));
      await says(server, `line ${n}`);
    }
    assert.ok(connection.layer.counts.keyUpdatesSent >= 9);
    connection.layer.updateKeys();
    const { keyUpdatesReceived } = connection.layer.counts;
    connection.send();
    // OpenSSL answers with what it writes next.
    server.child.stdin.write('with its next key\n');
    await carries(connection, Buffer.from('with its next key\n'));
    await connection.until(
      'its own',
      () => connection.layer.counts.keyUpdatesReceived > keyUpdatesReceived,
    );
  });
});

describe('the end of a connection with openssl', () => {
  test('a killed s_client is a truncation', async () => {
    const { client, connection } = await withClient([]);
    client.child.stdin.write('last words\n');
    await carries(connection, Buffer.from('last words\n'));
    client.child.kill('SIGKILL');
    await connection.until('the end', () => connection.layer.failure !== undefined);
    assert.equal(connection.layer.failure?.kind, 'truncated');
  });

  test('a record that is not ours makes s_client say so, in an alert', async () => {
    const { client, connection, socket } = await withClient([]);
    socket.write(Buffer.concat([Buffer.of(23, 3, 3, 0, 60), randomBytes(60)]));
    await connection.until('the alert', () => connection.layer.failure !== undefined);
    assert.deepEqual(
      [connection.layer.failure?.kind, connection.layer.failure?.alert],
      ['alert', 'bad_record_mac'],
    );
    await says(client, 'bad record mac');
  });

  test('our alert is understood by s_client', async () => {
    const { client, connection } = await withClient([]);
    connection.inject(Buffer.concat([Buffer.of(23, 3, 3, 0, 60), randomBytes(60)]));
    assert.equal(connection.layer.failure?.alert, 'bad_record_mac');
    await says(client, 'alert bad record mac');
  });

  test('our close_notify ends s_client in order', async () => {
    const { client, connection } = await withClient([]);
    const exited = once(client.child, 'exit') as Promise<[number]>;
    connection.end();
    await connection.until('its close_notify', () => connection.layer.isEnded);
    connection.destroy();
    assert.equal((await exited)[0], 0);
  });
});
