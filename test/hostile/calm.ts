import { type ChildProcess, spawn } from 'node:child_process';
import { cpuSeconds } from '../../bench/measure.ts';

/** More than the attacker and its targets: these have a thread each. */
const PROCESSES_MAX = 2;

/** The honest bulk beside processes that take CPU time and are nobody's peer. */
export interface Calm {
  /** What they took, in CPU seconds a second. */
  readonly cpu: number;
  readonly bulkMBps: number;
}

/**
 * Measures with no such process, and with more and more of them. The attacker stands on the machine
 * of the honest nodes, which it would not: what it takes from them by that is not Routy's doing.
 */
export async function besideOthers(measure: () => Promise<number>): Promise<Calm[]> {
  const results: Calm[] = [];
  for (let count = 0; count <= PROCESSES_MAX; count++) results.push(await beside(count, measure));
  return results;
}

async function beside(count: number, measure: () => Promise<number>): Promise<Calm> {
  const busy = Array.from({ length: count }, () =>
    spawn(process.execPath, ['-e', 'for (;;);'], { stdio: 'ignore' }),
  );
  try {
    const [fromCpu, fromMs] = [used(busy), performance.now()];
    const bulkMBps = await measure();
    const cpu = (used(busy) - fromCpu) / ((performance.now() - fromMs) / 1000);
    return { cpu, bulkMBps };
  } finally {
    for (const child of busy) child.kill('SIGKILL');
  }
}

function used(processes: readonly ChildProcess[]): number {
  return processes.reduce((sum, { pid }) => sum + cpuSeconds(pid!), 0);
}

/**
 * The part of the bulk that is left beside as much CPU time, by interpolation, and beside more than
 * was measured what was left beside the most. Two processes may get no more than one did.
 */
export function partBeside(calm: readonly Calm[], cpu: number): number {
  const byCpu = calm.toSorted((a, b) => a.cpu - b.cpu || b.bulkMBps - a.bulkMBps);
  const at = byCpu.findIndex((each) => each.cpu >= cpu);
  const bulkMBps = at <= 0 ? byCpu.at(at)!.bulkMBps : between(byCpu[at - 1]!, byCpu[at]!, cpu);
  return bulkMBps / calm[0]!.bulkMBps;
}

function between(from: Calm, to: Calm, cpu: number): number {
  const part = (cpu - from.cpu) / (to.cpu - from.cpu);
  return from.bulkMBps + part * (to.bulkMBps - from.bulkMBps);
}
