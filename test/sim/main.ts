/**
 * `npm run sim -- --seed N [--trace]` runs one seed; `--seeds N [--from M]` runs many and stops at
 * the first that fails, with the command that replays it.
 */
import { parseArgs } from 'node:util';
import { type RunResult, runSeed } from './world.ts';

const PROGRESS_MS = 2_000;

function main(): number {
  const options = readOptions();
  if (options === undefined) return 2;
  return options.seed === undefined
    ? runMany(options.from, options.count)
    : runOne(options.seed, options.trace);
}

interface Options {
  readonly seed: number | undefined;
  readonly trace: boolean;
  readonly from: number;
  readonly count: number;
}

function readOptions(): Options | undefined {
  try {
    const { values } = parseArgs({
      options: {
        seed: { type: 'string' },
        seeds: { type: 'string', default: '100' },
        from: { type: 'string', default: '1' },
        trace: { type: 'boolean', default: false },
      },
    });
    return {
      seed: values.seed === undefined ? undefined : wholeNumber(values.seed),
      trace: values.trace,
      from: wholeNumber(values.from),
      count: wholeNumber(values.seeds),
    };
  } catch (error) {
    process.stderr.write(`sim: ${(error as Error).message}\n`);
    process.stderr.write('usage: npm run sim -- --seed N [--trace] | --seeds N [--from M]\n');
    return undefined;
  }
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0) throw new Error(`not a whole number: ${text}`);
  return value;
}

function runOne(seed: number, trace: boolean): number {
  try {
    const onLine = trace ? (line: string) => void process.stdout.write(`${line}\n`) : undefined;
    process.stdout.write(`${summary(runSeed(seed, onLine))}\n`);
    return 0;
  } catch (error) {
    process.stdout.write(`seed ${seed} FAILED: ${(error as Error).message}\n`);
    return 1;
  }
}

function runMany(from: number, count: number): number {
  const startMs = Date.now();
  let reportedMs = startMs;
  let steps = 0;
  let finished = 0;
  let bytes = 0;
  for (let seed = from; seed < from + count; seed++) {
    let result: RunResult;
    try {
      result = runSeed(seed);
    } catch (error) {
      process.stdout.write(`seed ${seed} FAILED: ${(error as Error).message}\n`);
      process.stdout.write(`replay: npm run sim -- --seed ${seed} --trace\n`);
      return 1;
    }
    steps += result.steps;
    finished += result.finished;
    bytes += result.bytes;
    if (Date.now() - reportedMs < PROGRESS_MS) continue;
    reportedMs = Date.now();
    process.stderr.write(`${seed - from + 1} of ${count} seeds\n`);
  }
  const seconds = (Date.now() - startMs) / 1000;
  process.stdout.write(
    `${count} seeds from ${from}: all good; ${steps} steps, ${finished} conversations finished, ${bytes} bytes, ${seconds.toFixed(1)} s\n`,
  );
  return 0;
}

function summary(result: RunResult): string {
  return [
    `seed ${result.seed}: good`,
    `trace ${result.hash}`,
    `${result.steps} steps`,
    `${result.virtualMs} virtual ms`,
    `${result.lanes} lanes`,
    `${result.finished} of ${result.conversations} conversations finished`,
    `${result.bytes} bytes`,
  ].join(', ');
}

process.exitCode = main();
