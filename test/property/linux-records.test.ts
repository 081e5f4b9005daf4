import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeAead } from '../../packages/linux/src/crypto/node-aead.ts';
import { opensslAead } from '../../packages/linux/src/crypto/openssl-aead.ts';
import { loadProcessLibrary } from '../../packages/linux/src/native/process-library.ts';
import { RecordFuzzer } from '../sim/records/record-fuzzer.ts';
import { RecordTransfer } from '../sim/records/record-transfer.ts';

const loaded = loadProcessLibrary();

test('of 6,000 changed inputs none crashes a record layer or shows plaintext of a bad record', () => {
  const aeads = 'library' in loaded ? [nodeAead, opensslAead(loaded.library)] : [nodeAead];
  const outcomes = aeads.map((aead) => {
    const fuzzer = new RecordFuzzer(1, aead);
    for (let index = 0; index < 6000; index++) fuzzer.run(index);
    return Object.fromEntries(fuzzer.outcomes);
  });
  const [first] = outcomes;
  for (const outcome of ['bad_record_mac', 'unexpected_message', 'truncated', 'close_notify']) {
    assert.ok(first![outcome]! > 100, outcome);
  }
  for (const other of outcomes) assert.deepEqual(other, first, 'both do the same');
});

for (const suiteName of [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
]) {
  test(`20 MB through one pair of layers, with a new key every 1 MB: ${suiteName}`, () => {
    const aead = 'library' in loaded ? opensslAead(loaded.library) : nodeAead;
    const options = { aead, suiteName, bytes: 20e6, updateBytes: 1e6 };
    const result = new RecordTransfer(options).run();
    assert.ok(result.bytes >= 20e6);
    assert.deepEqual(result.keyUpdates, [20, 20]);
    assert.equal(result.received, result.sent);
  });
}
