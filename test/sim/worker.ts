/** Runs its share of the seeds for `main.ts`, and tells it what came of them. Arguments: FROM COUNT STEP. */
import { runSeed } from './world.ts';

/** Sums over seeds that went well. */
export interface Totals {
  seeds: number;
  steps: number;
  lanes: number;
  resumed: number;
  finished: number;
  bytes: number;
  replayedBytes: number;
}

export type WorkerMessage =
  | { readonly kind: 'totals'; readonly totals: Totals }
  | { readonly kind: 'failed'; readonly seed: number; readonly message: string };

const REPORT_MS = 1_000;

export function emptyTotals(): Totals {
  return { seeds: 0, steps: 0, lanes: 0, resumed: 0, finished: 0, bytes: 0, replayedBytes: 0 };
}

function work(from: number, count: number, step: number): void {
  let totals = emptyTotals();
  let reportedMs = Date.now();
  for (let seed = from; seed < from + count; seed += step) {
    try {
      const result = runSeed(seed);
      for (const key of Object.keys(totals) as (keyof Totals)[]) {
        totals[key] += key === 'seeds' ? 1 : result[key];
      }
    } catch (error) {
      tell({ kind: 'failed', seed, message: (error as Error).message });
    }
    if (Date.now() - reportedMs < REPORT_MS) continue;
    reportedMs = Date.now();
    tell({ kind: 'totals', totals });
    totals = emptyTotals();
  }
  tell({ kind: 'totals', totals });
}

function tell(message: WorkerMessage): void {
  process.send?.(message);
}

if (process.send !== undefined) {
  const [from, count, step] = process.argv.slice(2).map(Number);
  work(from!, count!, step!);
  process.disconnect();
}
