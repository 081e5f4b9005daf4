import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { after, before, describe, test } from 'node:test';
import { nodeAead } from '../../../packages/linux/src/crypto/node-aead.ts';
import { SendTraffic } from '../../../packages/linux/src/tls/traffic.ts';
import { CROOKED_RECORDS, crookedRecords } from '../../support/linux/crooked-records.ts';
import { carries, OpenSslPeers, type OpenSslProcess, says } from './openssl-peers.ts';
import type { RecordConnection } from '../../support/linux/record-connection.ts';
import { received, record, recordPair } from '../../support/linux/record-pair.ts';

const SUITES = ['TLS_AES_128_GCM_SHA256', 'TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256'];

let peers: OpenSslPeers;
before(async () => {
  peers = await OpenSslPeers.start();
});
after(() => peers.close());

for (const suite of SUITES) {
  describe(`openssl with ${suite}`, () => {
    test('s_client: lines both ways, byte by byte, and an orderly end', async () => {
      const { client, connection } = await peers.withClient(['-ciphersuites', suite], {
        stride: 1,
      });
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
      const { server, connection } = await peers.withServer(['-ciphersuites', suite], {
        stride: 1,
      });
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

describe('cut at every byte on the way, both ways', { timeout: 60_000 }, () => {
  // One byte; less than a header, a header, and one more; a record of one byte, and around it.
  for (const stride of [1, 4, 5, 6, 21, 22, 23]) {
    test(`s_client, in parts of ${stride}: data, keys, and an orderly end`, async () => {
      const { client, connection } = await peers.withClient([], { relay: { stride } });
      await converse(client, connection);
      client.child.stdin.write('Q\n');
      await connection.until('close_notify', () => connection.layer.isEnded);
      assert.equal(connection.layer.failure, undefined);
      connection.destroy();
    });

    test(`s_server, in parts of ${stride}: data, keys, and an orderly end`, async () => {
      const { server, connection } = await peers.withServer([], { relay: { stride } });
      await converse(server, connection);
      connection.end();
      await connection.until('close_notify', () => connection.layer.isEnded);
      assert.equal(connection.layer.failure, undefined);
      connection.destroy();
    });
  }

  /** Lines both ways, with the first keys, the peer's next, ours, and both at its request. */
  async function converse(process: OpenSslProcess, connection: RecordConnection): Promise<void> {
    const { counts } = connection.layer;
    const lines = async (round: string) => {
      connection.send(Buffer.from(`ours ${round}\n`));
      await says(process, `ours ${round}`);
      process.child.stdin.write(`theirs ${round}\n`);
      await carries(connection, Buffer.from(`theirs ${round}\n`));
    };
    await lines('first');
    process.child.stdin.write('k\n');
    await connection.until('its next key', () => counts.keyUpdatesReceived === 1);
    await lines('its next');
    connection.layer.updateKeys();
    await lines('our next');
    assert.equal(counts.keyUpdatesReceived, 2, 'it has answered');
    process.child.stdin.write('K\n');
    await connection.until('its request', () => counts.keyUpdatesReceived === 3);
    await lines('both next');
    assert.equal(counts.keyUpdatesSent, 2);
  }
});

describe('records of openssl', () => {
  test('many tickets are counted, none is read as data', async () => {
    const { server, connection } = await peers.withServer(['-num_tickets', '10']);
    server.child.stdin.write('behind the tickets\n');
    await carries(connection, Buffer.from('behind the tickets\n'));
    assert.equal(connection.layer.counts.tickets, 10);
    assert.equal(connection.received.toString(), 'behind the tickets\n');
  });

  for (const padding of ['512', '16384']) {
    test(`are padded to ${padding} bytes`, async () => {
      const { client, connection } = await peers.withClient(['-record_padding', padding]);
      for (let n = 0; n < 5; n++) {
        client.child.stdin.write(`line ${n}\n`);
        await carries(connection, Buffer.from(`line ${n}\n`));
      }
      assert.equal(connection.layer.failure, undefined);
    });
  }

  test('may be 16 KiB + 256 bytes long, at both ends, and no byte more', async () => {
    const { client, connection, socket } = await peers.withClient(['-quiet']);
    const own = recordPair();
    for (const [traffic, take] of [
      [crookedTraffic(connection), (bytes: Buffer) => socket.write(bytes)],
      [own.crooked, (bytes: Buffer) => received(own.client, bytes)],
    ] as const) {
      const content = Buffer.from('hello from a long record\n');
      const padding = 16_384 + 256 - 17 - content.length;
      const bytes = record(traffic, 23, content, padding);
      assert.equal(bytes.readUInt16BE(3), 16_384 + 256);
      take(bytes);
      take(Buffer.concat([Buffer.of(23, 3, 3, 0x41, 0x01), Buffer.alloc(0x4101)]));
    }
    await says(client, 'hello from a long record');
    await connection.until('its alert', () => connection.layer.failure !== undefined);
    assert.equal(connection.layer.failure?.alert, 'record_overflow');
    assert.equal(own.client.failure?.alert, 'record_overflow');
  });

  test('data in records of 512 bytes and of 16 KiB', async () => {
    for (const options of [['-max_send_frag', '512'], []]) {
      const { client, connection } = await peers.withClient(['-quiet', ...options], {
        stride: 1000,
      });
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
    const { client, connection } = await peers.withClient([]);
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
    const { server, connection } = await peers.withServer([]);
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
    const { server, connection } = await peers.withServer([], { recordsMax: 2 });
    for (let n = 0; n < 10; n++) {
      connection.send(Buffer.from(`line ${n}\n`));
      await says(server, `line ${n}`);
    }
    assert.ok(connection.layer.counts.keyUpdatesSent >= 9);
    connection.layer.updateKeys();
    const { keyUpdatesReceived } = connection.layer.counts;
    connection.send(Buffer.from('behind the request\n'));
    await says(server, 'behind the request');
    // OpenSSL answers with what it writes next.
    server.child.stdin.write('with its next key\n');
    await carries(connection, Buffer.from('with its next key\n'));
    await connection.until(
      'its own',
      () => connection.layer.counts.keyUpdatesReceived > keyUpdatesReceived,
    );
  });
});

describe('records that no honest peer sends', { timeout: 60_000 }, () => {
  for (const crooked of CROOKED_RECORDS) {
    const alert = crooked.openssl ?? crooked.alert;
    // OpenSSL takes any number of KeyUpdates.
    if (alert === 'none') continue;
    test(`a record ${crooked.what} is ${alert} for openssl`, async () => {
      const { client, connection, socket } = await peers.withClient([]);
      for (const bytes of crookedRecords(crookedTraffic(connection), crooked)) socket.write(bytes);
      await connection.until('its alert', () => connection.layer.failure !== undefined);
      assert.equal(connection.layer.failure?.alert, alert);
      client.child.kill('SIGKILL');
    });
  }

  test('s_server hears of them in our alerts', async () => {
    const { server, connection } = await peers.withServer([]);
    connection.inject(Buffer.of(22, 3, 3, 0, 1, 0));
    assert.equal(connection.layer.failure?.alert, 'unexpected_message');
    await says(server, 'alert unexpected message');
  });
});

describe('the end of a connection with openssl', () => {
  test('a killed s_client is a truncation', async () => {
    const { client, connection } = await peers.withClient([]);
    client.child.stdin.write('last words\n');
    await carries(connection, Buffer.from('last words\n'));
    client.child.kill('SIGKILL');
    await connection.until('the end', () => connection.layer.failure !== undefined);
    assert.equal(connection.layer.failure?.kind, 'truncated');
  });

  test('a bulk transfer that is cut off is a truncation: in a header, in a record, between two', async () => {
    const content = Buffer.alloc(100_000, 'what s_client sends');
    // Behind its handshake, which differs by a few bytes with the length of its signature.
    for (const client of [20_000, 20_001, 36_405]) {
      const relay = { client, how: 'end' } as const;
      const peer = await peers.withClient(['-quiet'], { relay });
      peer.client.child.stdin.write(content);
      await peer.connection.until('the end', () => peer.connection.layer.failure !== undefined);
      assert.equal(peer.connection.layer.failure?.kind, 'truncated');
      assert.equal(peer.connection.layer.isEnded, false);
      const { received: got } = peer.connection;
      assert.ok(got.length > 0 && got.length < content.length);
      assert.ok(got.equals(content.subarray(0, got.length)), 'what has come is good');
    }
  });

  test('s_client tells our end from a connection that breaks off', async () => {
    const broken = await peers.withClient([]);
    broken.socket.destroy();
    await says(broken.client, 'unexpected eof while reading');
    const ended = await peers.withClient([]);
    const exited = once(ended.client.child, 'exit') as Promise<[number]>;
    ended.connection.end();
    assert.equal((await exited)[0], 0);
    assert.ok(!ended.client.output.includes('unexpected eof'));
  });

  test('a record that is not ours makes s_client say so, in an alert', async () => {
    const { client, connection, socket } = await peers.withClient([]);
    socket.write(Buffer.concat([Buffer.of(23, 3, 3, 0, 60), randomBytes(60)]));
    await connection.until('the alert', () => connection.layer.failure !== undefined);
    assert.deepEqual(
      [connection.layer.failure?.kind, connection.layer.failure?.alert],
      ['alert', 'bad_record_mac'],
    );
    await says(client, 'bad record mac');
  });

  test('our alert is understood by s_client', async () => {
    const { client, connection } = await peers.withClient([]);
    connection.inject(Buffer.concat([Buffer.of(23, 3, 3, 0, 60), randomBytes(60)]));
    assert.equal(connection.layer.failure?.alert, 'bad_record_mac');
    await says(client, 'alert bad record mac');
  });

  test('our close_notify ends s_client in order', async () => {
    const { client, connection } = await peers.withClient([]);
    const exited = once(client.child, 'exit') as Promise<[number]>;
    connection.end();
    await connection.until('its close_notify', () => connection.layer.isEnded);
    connection.destroy();
    assert.equal((await exited)[0], 0);
  });
});

/** The bare traffic of our end, to send what no record layer would; the layer is not to send then. */
function crookedTraffic({ established }: RecordConnection): SendTraffic {
  const { suite, sendSecret, sentRecords: sequence } = established;
  return new SendTraffic({
    aead: nodeAead,
    suite,
    secret: Uint8Array.from(sendSecret),
    sequence,
  });
}
