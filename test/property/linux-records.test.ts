import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeAead } from '../../packages/linux/src/crypto/node-aead.ts';
import { opensslAead } from '../../packages/linux/src/crypto/openssl-aead.ts';
import { loadProcessLibrary } from '../../packages/linux/src/native/process-library.ts';
import { RecordFuzzer } from '../sim/record-fuzzer.ts';

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
