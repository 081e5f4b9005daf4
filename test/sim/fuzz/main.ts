/**
 * `npm run fuzz -- [--count N] [--seed S]` feeds N mutated inputs to decoders and sessions;
 * `--seed S --at I` gives them input I alone.
 */
import { readFuzzOptions } from './options.ts';
import { Fuzzer, FuzzFailure } from './run.ts';

const PROGRESS_MS = 2_000;

/** Inputs between looks at the clock. */
const STRIDE = 10_000;

function main(): number {
  const options = readFuzzOptions('fuzz');
  if (options === undefined) return 2;
  const { seed, first, count } = options;
  const fuzzer = new Fuzzer(seed);
  // A refusal is the usual outcome here, and the stack of an error the dearest part of it.
  if (count > 1) Error.stackTraceLimit = 0;
  const startMs = Date.now();
  let reportedMs = startMs;
  try {
    for (let index = first; index < first + count; index++) {
      fuzzer.run(index);
      if (index % STRIDE !== 0 || Date.now() - reportedMs < PROGRESS_MS) continue;
      reportedMs = Date.now();
      const { rss, arrayBuffers } = process.memoryUsage();
      const memory = `${mib(rss)} MiB resident, ${mib(arrayBuffers)} MiB in buffers`;
      process.stderr.write(`${index - first} of ${count} inputs, ${memory}\n`);
    }
  } catch (error) {
    return report(error, seed);
  }
  summarize(fuzzer, (Date.now() - startMs) / 1000);
  return 0;
}

function report(error: unknown, seed: number): number {
  if (!(error instanceof FuzzFailure)) throw error;
  process.stdout.write(`FAILED: ${error.message}\n`);
  process.stdout.write(`input: ${Buffer.from(error.input).toString('hex')}\n`);
  process.stdout.write(`replay: npm run fuzz -- --seed ${seed} --at ${error.index}\n`);
  return 1;
}

function summarize(fuzzer: Fuzzer, seconds: number): void {
  const { inputs, sessions, bytes, outcomes, heldBytesMax } = fuzzer.result;
  for (const [outcome, count] of [...outcomes].sort(([a], [b]) => (a < b ? -1 : 1))) {
    process.stdout.write(`${outcome.padEnd(36)} ${count}\n`);
  }
  process.stdout.write(
    `${inputs} inputs (${sessions} to sessions too), ${bytes} bytes: no crash; ` +
      `a decoder held ${heldBytesMax} bytes at most; ${seconds.toFixed(1)} s, ` +
      `${Math.round(inputs / seconds)} inputs/s\n`,
  );
}

function mib(bytes: number): number {
  return Math.round(bytes / 2 ** 20);
}

process.exitCode = main();
