import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import { cipherSuite } from '../../../packages/linux/src/crypto/cipher-suites.ts';
import { nodeAead } from '../../../packages/linux/src/crypto/node-aead.ts';
import { opensslAead } from '../../../packages/linux/src/crypto/openssl-aead.ts';
import { loadProcessLibrary } from '../../../packages/linux/src/native/process-library.ts';
import { RecordLayer } from '../../../packages/linux/src/tls/record-layer.ts';
import { SendTraffic } from '../../../packages/linux/src/tls/traffic.ts';
import { CROOKED_RECORDS, crookedRecords } from '../../support/linux/crooked-records.ts';
import { received, record, recordPair, sealed } from '../../support/linux/record-pair.ts';
import { RFC8448 } from './rfc8448.ts';

const ALERT = 21;
const HANDSHAKE = 22;
const DATA = 23;

const loaded = loadProcessLibrary();
const AEADS = [nodeAead, ...('library' in loaded ? [opensslAead(loaded.library)] : [])];
const FIFTY = Uint8Array.from({ length: 50 }, (_, index) => index);

describe('records of RFC 8448 §3', () => {
  for (const [index, aead] of AEADS.entries()) {
    const layer = (isClient: boolean) => {
      const [send, receive] = isClient
        ? (['client', 'server'] as const)
        : (['server', 'client'] as const);
      return new RecordLayer({
        ...{ isClient, aead, suite: cipherSuite('TLS_AES_128_GCM_SHA256')! },
        sendSecret: Buffer.from(RFC8448[send].secret, 'hex'),
        receiveSecret: Buffer.from(RFC8448[receive].secret, 'hex'),
        sentRecords: isClient ? 0 : 1,
      });
    };

    test(`a client reads ticket, data and close_notify, and sends its own (${index})`, () => {
      const client = layer(true);
      const bytes = Buffer.from(RFC8448.server.records.join(''), 'hex');
      assert.deepEqual([...received(client, bytes)], [...FIFTY]);
      assert.deepEqual([client.counts.tickets, client.isEnded], [1, true]);
      assert.equal(sealed(client, FIFTY).toString('hex'), RFC8448.client.records[0]);
      client.end();
      assert.equal(sealed(client).toString('hex'), RFC8448.client.records[1]);
      assert.equal(client.canSend, false);
    });

    test(`a server goes on after its ticket (${index})`, () => {
      const server = layer(false);
      server.end();
      assert.equal(received(server, Buffer.from(RFC8448.client.records[0], 'hex')).length, 50);
      const other = layer(false);
      assert.equal(sealed(other, FIFTY).toString('hex'), RFC8448.server.records[1]);
      other.end();
      assert.equal(sealed(other).toString('hex'), RFC8448.server.records[2]);
    });
  }
});

describe('records', () => {
  test('cut at every byte they give the same, in order', () => {
    const content = randomBytes(300);
    for (let stride = 1; stride < 60; stride++) {
      const { client, server } = recordPair();
      const bytes = Buffer.concat([sealed(client, content), sealed(client, content)]);
      assert.deepEqual(received(server, bytes, stride), Buffer.concat([content, content]));
    }
    for (let cut = 1; cut < 322; cut++) {
      const { client, server } = recordPair();
      const bytes = sealed(client, content);
      const head = Buffer.from(bytes.subarray(0, cut));
      assert.equal(
        server.receive(head, () => assert.fail('plaintext of half a record')),
        0,
      );
      assert.deepEqual(received(server, bytes), content);
    }
  });

  test('many pieces fill records of 16 KiB', () => {
    const { client, server } = recordPair();
    const pieces = [1, 16_383, 1, 0, 40_000, 5].map((length) => randomBytes(length));
    const bytes = sealed(client, ...pieces);
    assert.equal(bytes.length, 56_390 + 4 * 22);
    assert.equal(bytes.readUInt16BE(3), 16_384 + 17);
    assert.deepEqual(received(server, bytes), Buffer.concat(pieces));
  });

  test('padding is taken off, up to a record of 16 KiB + 256', () => {
    const { client, crooked } = recordPair();
    for (const padding of [1, 2, 255, 1000]) {
      assert.deepEqual([...received(client, record(crooked, DATA, FIFTY, padding))], [...FIFTY]);
    }
    const full = record(crooked, DATA, FIFTY, 16_384 + 256 - 17 - 50);
    assert.equal(full.readUInt16BE(3), 16_384 + 256);
    assert.deepEqual([...received(client, full)], [...FIFTY]);
    received(client, record(crooked, DATA, FIFTY, 16_384 + 256 - 17 - 49));
    assert.equal(client.failure?.alert, 'record_overflow');
  });

  test('a length above 16 KiB + 256 is refused by its header', () => {
    const { client } = recordPair();
    const header = Buffer.of(23, 3, 3, 0x41, 0x00);
    assert.equal(
      client.receive(Buffer.from(header), () => {}),
      0,
    );
    header[4] = 0x01;
    client.receive(header, () => {});
    assert.equal(client.failure?.alert, 'record_overflow');
  });

  test('a tag that does not fit ends it, releases nothing, and is answered', () => {
    const { client, server } = recordPair();
    const good = sealed(server, FIFTY);
    const bad = sealed(server, Buffer.alloc(100, 'secret'));
    bad[40]! ^= 1;
    const bytes = Buffer.concat([good, bad, sealed(server, FIFTY)]);
    assert.deepEqual([...received(client, bytes)], [...FIFTY], 'what came before it is good');
    assert.equal(client.failure?.kind, 'violation');
    assert.equal(client.failure.alert, 'bad_record_mac');
    assert.ok(!bad.includes('secret'));
    assert.equal(client.canSend, false);
    received(server, sealed(client));
    assert.deepEqual([server.failure?.kind, server.failure?.alert], ['alert', 'bad_record_mac']);
    assert.equal(sealed(server).length, 0, 'an alert is not answered');
    assert.throws(() => sealed(client, FIFTY));
  });

  for (const crooked of CROOKED_RECORDS) {
    test(`a record ${crooked.what} is ${crooked.alert}`, () => {
      const pair = recordPair();
      for (const bytes of crookedRecords(pair.crooked, crooked)) {
        assert.equal(pair.client.failure, undefined);
        received(pair.client, bytes);
      }
      assert.equal(pair.client.failure?.alert, crooked.alert);
      assert.ok(pair.client.hasControl);
    });
  }

  test('a server takes no ticket', () => {
    const suite = cipherSuite('TLS_AES_128_GCM_SHA256')!;
    const secret = randomBytes(32);
    const server = new RecordLayer({
      ...{ isClient: false, aead: nodeAead, suite, sendSecret: randomBytes(32) },
      receiveSecret: Uint8Array.from(secret),
    });
    const client = new SendTraffic({ aead: nodeAead, suite, secret, sequence: 0 });
    received(server, record(client, HANDSHAKE, Buffer.from('0400000100', 'hex')));
    assert.equal(server.failure?.alert, 'unexpected_message');
  });

  test('an unprotected record is refused, also an alert', () => {
    const { client } = recordPair();
    client.receive(Buffer.from('15030300020100', 'hex'), () => assert.fail());
    assert.equal(client.failure?.alert, 'unexpected_message');
  });

  test('a record too short for its tag is bad_record_mac', () => {
    const { client } = recordPair();
    client.receive(Buffer.concat([Buffer.of(23, 3, 3, 0, 16), Buffer.alloc(16)]), () => {});
    assert.equal(client.failure?.alert, 'bad_record_mac');
  });
});

describe('the end of a connection', () => {
  test('close_notify ends one direction; the other goes on', () => {
    const { client, server } = recordPair();
    server.end();
    server.end();
    received(client, sealed(server));
    assert.deepEqual([client.isEnded, client.failure, client.canSend], [true, undefined, true]);
    assert.deepEqual(received(server, sealed(client, FIFTY)), Buffer.from(FIFTY));
    client.receiveEnd();
    assert.equal(client.failure, undefined, 'an orderly end');
  });

  test('what follows a close_notify is ignored', () => {
    const { client, server } = recordPair();
    server.end();
    const bytes = Buffer.concat([sealed(server), Buffer.alloc(100, 7)]);
    assert.equal(
      client.receive(bytes, () => assert.fail()),
      bytes.length,
    );
    assert.equal(client.failure, undefined);
  });

  test('bytes that end without close_notify are truncated, with half a record or none', () => {
    for (const half of [false, true]) {
      const { client, server } = recordPair();
      const bytes = sealed(server, FIFTY);
      received(client, half ? bytes.subarray(0, 30) : bytes);
      client.receiveEnd();
      assert.equal(client.failure?.kind, 'truncated');
      assert.equal(client.hasControl, false);
    }
  });

  test('user_canceled is followed by a close', () => {
    const { client, crooked } = recordPair();
    received(client, record(crooked, ALERT, Buffer.of(1, 90)));
    assert.deepEqual([client.failure, client.isEnded], [undefined, false]);
    received(client, record(crooked, ALERT, Buffer.of(2, 0)));
    assert.equal(client.isEnded, true);
  });

  test('cleared, it neither takes nor gives, and its secrets are gone', () => {
    const secrets = [randomBytes(32), randomBytes(32)] as const;
    const suite = cipherSuite('TLS_CHACHA20_POLY1305_SHA256')!;
    const layer = new RecordLayer({
      ...{ isClient: true, aead: nodeAead, suite },
      ...{ sendSecret: secrets[0], receiveSecret: secrets[1] },
    });
    layer.clear();
    assert.ok(secrets.every((secret) => secret.every((byte) => byte === 0)));
    assert.equal(layer.seal([], Buffer.alloc(100)), 0);
    assert.equal(
      layer.receive(Buffer.alloc(30), () => assert.fail()),
      30,
    );
  });

  test('a handler that clears the layer gets no more of what has come', () => {
    const { client, server } = recordPair();
    const bytes = Buffer.concat([sealed(server, FIFTY), sealed(server, FIFTY)]);
    let calls = 0;
    client.receive(bytes, () => {
      calls += 1;
      client.clear();
    });
    assert.equal(calls, 1);
  });
});

describe('key updates', () => {
  for (const aead of AEADS) {
    for (const suiteName of ['TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256']) {
      test(`come before a key has protected more than it may: ${suiteName}`, () => {
        const { client, server } = recordPair({ aead, suiteName, recordsMax: 3 });
        for (let round = 0; round < 5; round++) {
          const content = randomBytes(5 * 16_384);
          assert.deepEqual(received(server, sealed(client, content), 5000), content);
          const answer = randomBytes(100);
          assert.deepEqual(received(client, sealed(server, answer)), answer);
        }
        // 25 records of data, two to a key.
        assert.equal(client.counts.keyUpdatesSent, 12);
        assert.equal(server.counts.keyUpdatesReceived, 12);
      });
    }
  }

  test('one that is requested is answered once, before any data', () => {
    const { client, server } = recordPair();
    client.updateKeys();
    const first = sealed(client);
    client.updateKeys();
    received(server, Buffer.concat([first, sealed(client)]));
    assert.equal(server.counts.keyUpdatesReceived, 2);
    assert.ok(server.hasControl);
    assert.deepEqual([...received(client, sealed(server, FIFTY))], [...FIFTY]);
    assert.deepEqual([server.counts.keyUpdatesSent, server.hasControl], [1, false]);
    assert.equal(client.counts.keyUpdatesReceived, 1);
    assert.equal(client.hasControl, false, 'the answer asks for nothing');
  });

  test('a peer that goes on with a used-up key is asked, once, for the next', () => {
    const { client, crooked } = recordPair({ recordsMax: 4 });
    for (let n = 0; n < 10; n++) received(client, record(crooked, DATA, FIFTY));
    assert.ok(client.hasControl);
    assert.ok(sealed(client).length > 0);
    received(client, record(crooked, DATA, FIFTY));
    assert.equal(client.hasControl, false);
    received(client, record(crooked, HANDSHAKE, Buffer.from('1800000100', 'hex')));
    crooked.update();
    for (let n = 0; n < 4; n++) received(client, record(crooked, DATA, FIFTY));
    assert.ok(client.hasControl);
  });

  test('after our close_notify a request is not answered', () => {
    const { client, server } = recordPair();
    server.end();
    sealed(server);
    client.updateKeys();
    received(server, sealed(client));
    assert.deepEqual([server.hasControl, server.failure], [false, undefined]);
  });

  test('messages may be cut anywhere', () => {
    const { client, crooked } = recordPair();
    const ticket = Buffer.concat([Buffer.from('0400000a', 'hex'), Buffer.alloc(10)]);
    for (const byte of ticket) received(client, record(crooked, HANDSHAKE, Buffer.of(byte)));
    received(client, record(crooked, HANDSHAKE, Buffer.concat([ticket, ticket])));
    assert.deepEqual([client.counts.tickets, client.failure], [3, undefined]);
  });
});
