/**
 * Runs whole sessions over a faulty network in virtual time, each determined by its seed. Prints
 * every violation with the command that replays it, and exits 1 when there was one.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { emptyTotals, type Totals, type WorkerMessage } from './worker.ts';
import { type RunResult, runSeed } from './world.ts';

const USAGE = `usage: npm run sim -- [--seeds N] [--from M] [--workers W] [--failures F]
       npm run sim -- --seed N [--trace]

  --seeds N    how many seeds (100); a change to the session is worth 10000, which is also what
               a nightly run takes, from another --from every night
  --from M     the first of them (1)
  --workers W  processes that share the work (one for each core)
  --failures F stop after so many violations (20)
  --seed N     this seed alone
  --trace      print all that happens
`;

const PROGRESS_MS = 5_000;

interface Options {
  readonly help: boolean;
  readonly seed: number | undefined;
  readonly trace: boolean;
  readonly from: number;
  readonly count: number;
  readonly workers: number;
  /** More violations than these are one and the same. */
  readonly failuresMax: number;
}

async function main(): Promise<number> {
  const options = readOptions();
  if (options === undefined) return 2;
  if (options.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  return options.seed === undefined ? runMany(options) : runOne(options.seed, options.trace);
}

function readOptions(): Options | undefined {
  try {
    const { values } = parseArgs({
      options: {
        help: { type: 'boolean', default: false },
        seed: { type: 'string' },
        seeds: { type: 'string', default: '100' },
        from: { type: 'string', default: '1' },
        workers: { type: 'string', default: String(availableParallelism()) },
        failures: { type: 'string', default: '20' },
        trace: { type: 'boolean', default: false },
      },
    });
    return {
      help: values.help,
      seed: values.seed === undefined ? undefined : wholeNumber(values.seed),
      trace: values.trace,
      from: wholeNumber(values.from),
      count: wholeNumber(values.seeds),
      workers: Math.max(1, wholeNumber(values.workers)),
      failuresMax: Math.max(1, wholeNumber(values.failures)),
    };
  } catch (error) {
    process.stderr.write(`sim: ${(error as Error).message}\n${USAGE}`);
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

async function runMany({ from, count, workers, failuresMax }: Options): Promise<number> {
  const startMs = Date.now();
  const run = new ManySeeds(count, failuresMax);
  const script = fileURLToPath(new URL('worker.ts', import.meta.url));
  const children = Array.from({ length: Math.min(workers, count) }, (_, index) =>
    fork(script, [from + index, count - index, workers].map(String)),
  );
  const exits = await Promise.all(children.map((child) => run.follow(child, children)));
  const { totals, failures } = run;
  const seconds = (Date.now() - startMs) / 1000;
  if (failures > 0) {
    process.stdout.write(`${failures} violations, ${totals.seeds} seeds from ${from} good\n`);
    return 1;
  }
  if (exits.some((code) => code !== 0) || totals.seeds !== count) {
    process.stdout.write(`${totals.seeds} of ${count} seeds were run\n`);
    return 1;
  }
  process.stdout.write(
    `${count} seeds from ${from}: all good; ${totals.steps} steps, ${totals.lanes} lanes, ` +
      `${totals.resumed} resumed, ${totals.finished} conversations finished, ${totals.bytes} bytes, ` +
      `${totals.replayedBytes} replayed, ${seconds.toFixed(1)} s\n`,
  );
  return 0;
}

/** Collects what the workers tell. */
class ManySeeds {
  readonly totals: Totals = emptyTotals();
  failures = 0;
  readonly #count: number;
  readonly #failuresMax: number;
  #reportedMs = Date.now();

  constructor(count: number, failuresMax: number) {
    this.#count = count;
    this.#failuresMax = failuresMax;
  }

  /** Until the worker's end; its exit code, null when it was killed. */
  async follow(child: ChildProcess, all: readonly ChildProcess[]): Promise<number | null> {
    child.on('message', (message: WorkerMessage) => {
      if (message.kind === 'totals') this.#add(message.totals);
      else this.#failed(message.seed, message.message);
      if (this.failures >= this.#failuresMax) for (const each of all) each.kill();
    });
    const [code] = (await once(child, 'exit')) as [number | null];
    return code;
  }

  #add(totals: Totals): void {
    for (const key of Object.keys(totals) as (keyof Totals)[]) this.totals[key] += totals[key];
    if (Date.now() - this.#reportedMs < PROGRESS_MS) return;
    this.#reportedMs = Date.now();
    process.stderr.write(`${this.totals.seeds} of ${this.#count} seeds\n`);
  }

  #failed(seed: number, message: string): void {
    if (this.failures >= this.#failuresMax) return;
    this.failures++;
    process.stdout.write(`seed ${seed} FAILED: ${message}\n`);
    process.stdout.write(`replay: npm run sim -- --seed ${seed} --trace\n`);
  }
}

function summary(result: RunResult): string {
  return [
    `seed ${result.seed}: good`,
    `trace ${result.hash}`,
    `${result.steps} steps`,
    `${result.virtualMs} virtual ms`,
    `${result.sessions} sessions, ${result.resumed} resumed`,
    `${result.lanes} lanes`,
    `${result.finished} of ${result.conversations} conversations finished`,
    `${result.bytes} bytes, ${result.replayedBytes} replayed`,
  ].join(', ');
}

process.exitCode = await main();
