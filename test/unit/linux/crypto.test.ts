import assert from 'node:assert/strict';
import { createCipheriv, randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import type { Aead } from '../../../packages/linux/src/crypto/aead.ts';
import { cipherSuite } from '../../../packages/linux/src/crypto/cipher-suites.ts';
import { nextTrafficSecret, trafficKeys } from '../../../packages/linux/src/crypto/key-schedule.ts';
import { nodeAead } from '../../../packages/linux/src/crypto/node-aead.ts';
import { opensslAead } from '../../../packages/linux/src/crypto/openssl-aead.ts';
import { loadProcessLibrary } from '../../../packages/linux/src/native/process-library.ts';
import { RFC8448 } from './rfc8448.ts';

const SUITES = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
].map((name) => cipherSuite(name)!);

const loaded = loadProcessLibrary();
const AEADS: readonly (readonly [string, Aead])[] = [
  ['node:crypto', nodeAead],
  ...('library' in loaded ? [['OpenSSL', opensslAead(loaded.library)] as const] : []),
];

describe('key schedule', () => {
  const aes128 = SUITES[0]!;
  for (const side of ['client', 'server'] as const) {
    test(`key and IV of the ${side} are those of RFC 8448 §3`, () => {
      const { secret, key, iv, nextSecret } = RFC8448[side];
      const keys = trafficKeys(aes128, Buffer.from(secret, 'hex'));
      assert.equal(Buffer.from(keys.key).toString('hex'), key);
      assert.equal(Buffer.from(keys.iv).toString('hex'), iv);
      const next = nextTrafficSecret(aes128, Buffer.from(secret, 'hex'));
      assert.equal(Buffer.from(next).toString('hex'), nextSecret);
    });
  }

  test('a hash of 48 bytes gives a secret of 48 and a key of 32', () => {
    const suite = SUITES[1]!;
    const secret = nextTrafficSecret(suite, randomBytes(48));
    assert.equal(secret.length, 48);
    assert.equal(trafficKeys(suite, secret).key.length, 32);
  });

  test('a suite that is not of TLS 1.3 is not known', () => {
    assert.equal(cipherSuite('TLS_AES_128_CCM_SHA256'), undefined);
  });
});

test('where koffi works, OpenSSL is called', () => {
  // Of tests that are run without koffi, on purpose.
  const isWithout = process.env.ROUTY_TEST_MACHINE !== undefined;
  assert.equal(AEADS.length, process.platform === 'linux' && !isWithout ? 2 : 1);
});

for (const [name, aead] of AEADS) {
  for (const suite of SUITES) {
    describe(`${suite.name} by ${name}`, () => {
      const key = randomBytes(suite.keyBytes);
      const nonce = randomBytes(12);
      const additional = randomBytes(5);

      /** What node:crypto makes of it in one go. */
      function expected(plaintext: Uint8Array): Buffer {
        const cipher = createCipheriv(suite.cipher as 'aes-128-gcm', key, nonce, {
          authTagLength: 16,
        });
        cipher.setAAD(additional);
        return Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
      }

      test('pieces of any size are sealed as one record', () => {
        const sealer = aead.sealer(suite, key);
        const plaintext = randomBytes(4000);
        for (const cuts of [[0], [1], [15, 16, 17, 33], [100, 100, 3999]]) {
          const out = new Uint8Array(4100);
          sealer.begin(nonce, additional);
          let from = 0;
          for (const to of [...cuts, plaintext.length]) {
            sealer.update(plaintext.subarray(from, to), out, 7 + from);
            from = to;
          }
          sealer.finish(out, 7 + from);
          assert.deepEqual(Buffer.from(out.subarray(7, 7 + from + 16)), expected(plaintext));
        }
        sealer.destroy();
      });

      test('a record is opened where it lies, and nothing beside it is touched', () => {
        const opener = aead.opener(suite, key);
        for (const length of [1, 16, 17, 16_385]) {
          const plaintext = randomBytes(length);
          const slab = new Uint8Array(length + 16 + 10).fill(0xaa);
          slab.set(expected(plaintext), 5);
          assert.ok(opener.open(nonce, additional, slab.subarray(5, 5 + length + 16)));
          assert.deepEqual(Buffer.from(slab.subarray(5, 5 + length)), plaintext);
          assert.deepEqual([...slab.subarray(0, 5)], new Array(5).fill(0xaa));
          assert.deepEqual([...slab.subarray(-5)], new Array(5).fill(0xaa));
        }
        opener.destroy();
      });

      test('a wrong bit anywhere leaves no plaintext, and the next record opens', () => {
        const opener = aead.opener(suite, key);
        const plaintext = Buffer.alloc(64, 'secret');
        const sealed = expected(plaintext);
        for (let bit = 0; bit < sealed.length * 8; bit += 5) {
          const bad = new Uint8Array(sealed);
          bad[bit >> 3]! ^= 1 << (bit & 7);
          assert.ok(!opener.open(nonce, additional, bad));
          assert.ok(!Buffer.from(bad).includes('secr'), `bit ${bit}`);
        }
        const good = new Uint8Array(sealed);
        assert.ok(opener.open(nonce, additional, good));
        opener.destroy();
      });

      test('a cleared key is not used again', () => {
        const sealer = aead.sealer(suite, key);
        const opener = aead.opener(suite, key);
        sealer.destroy();
        sealer.destroy();
        opener.destroy();
        assert.throws(() => sealer.begin(nonce, additional));
        assert.throws(() => opener.open(nonce, additional, new Uint8Array(40)));
      });
    });
  }
}
