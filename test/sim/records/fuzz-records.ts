/**
 * `npm run fuzz:records -- [--count N] [--seed S]` feeds N changed records to the record layer of TLS;
 * `--seed S --at I` gives it input I alone.
 */
import { nodeAead } from '../../../packages/linux/src/crypto/node-aead.ts';
import { opensslAead } from '../../../packages/linux/src/crypto/openssl-aead.ts';
import { loadProcessLibrary } from '../../../packages/linux/src/native/process-library.ts';
import { readFuzzOptions } from '../fuzz/options.ts';
import { RecordFuzzer, RecordFuzzFailure } from './record-fuzzer.ts';

const PROGRESS = 500_000;

function main(): number {
  const options = readFuzzOptions('fuzz:records');
  if (options === undefined) return 2;
  const { seed, first, count } = options;
  const loaded = loadProcessLibrary();
  const fuzzer = new RecordFuzzer(
    seed,
    'library' in loaded ? opensslAead(loaded.library) : nodeAead,
  );
  // A refusal is the usual outcome here, and the stack of an error the dearest part of it.
  if (count > 1) Error.stackTraceLimit = 0;
  try {
    for (let index = first; index < first + count; index++) {
      fuzzer.run(index);
      if (index > 0 && index % PROGRESS === 0)
        process.stderr.write(`${index} of ${count} inputs\n`);
    }
  } catch (error) {
    if (!(error instanceof RecordFuzzFailure)) throw error;
    process.stdout.write(`FAILED: ${error.message}\n`);
    process.stdout.write(`replay: npm run fuzz:records -- --seed ${seed} --at ${error.index}\n`);
    return 1;
  }
  for (const [outcome, times] of [...fuzzer.outcomes].sort(([a], [b]) => (a < b ? -1 : 1))) {
    process.stdout.write(`${outcome.padEnd(24)} ${times}\n`);
  }
  process.stdout.write(`${count} inputs: no crash, no plaintext of a bad record\n`);
  return 0;
}

process.exitCode = main();
