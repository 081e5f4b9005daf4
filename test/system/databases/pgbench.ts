import { type Namespace, runInside } from '../../support/namespaces/namespaces.ts';

const BIN = process.env.POSTGRES_BIN ?? '/usr/lib/postgresql/15/bin';

export interface PgbenchPlan {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly clients: number;
  /** Transactions a second, all clients together. */
  readonly rate: number;
  readonly seconds: number;
}

export interface PgbenchResult {
  readonly transactions: number;
  /** What pgbench called an error, line by line. */
  readonly errors: readonly string[];
  /** How often it had to be started because its clients were gone before the time was over. */
  readonly runs: number;
  readonly latencyMs: number | null;
}

/** Makes pgbench's tables, at its smallest scale. */
export async function preparePgbench(
  namespace: Namespace,
  where: Pick<PgbenchPlan, 'host' | 'port' | 'database'>,
): Promise<void> {
  const finished = await runInside(namespace, `${BIN}/pgbench`, ['-i', '-q', ...whereArgs(where)]);
  if (finished.code !== 0) throw new Error(`pgbench -i: ${finished.stderr}`);
}

/** Runs it, again and again when all its clients fail, until the time is over. */
export async function runPgbench(namespace: Namespace, plan: PgbenchPlan): Promise<PgbenchResult> {
  const endMs = performance.now() + plan.seconds * 1000;
  let [transactions, runs] = [0, 0];
  let latencyMs: number | null = null;
  const errors: string[] = [];
  for (let leftMs = endMs - performance.now(); leftMs > 500; leftMs = endMs - performance.now()) {
    const finished = await runInside(
      namespace,
      `${BIN}/pgbench`,
      [
        ...['-n', '-c', String(plan.clients), '-j', '2', '-R', String(plan.rate)],
        ...['-T', String(Math.ceil(leftMs / 1000)), ...whereArgs(plan)],
      ],
      { timeoutMs: Math.round(leftMs) + 30_000 },
    );
    runs += 1;
    const lines = `${finished.stderr}\n${finished.stdout}`.split('\n');
    errors.push(...lines.filter(isClientError));
    if (finished.code === -1) errors.push('pgbench did not end in time');
    transactions += figure(finished.stdout, /transactions actually processed: (\d+)/) ?? 0;
    latencyMs = figure(finished.stdout, /latency average = ([\d.]+) ms/) ?? latencyMs;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return { transactions, errors, runs, latencyMs };
}

/** That the run as a whole came to nothing is said once more, at its end. */
function isClientError(line: string): boolean {
  return /^pgbench: (error|fatal)/.test(line) && !line.includes('Run was aborted');
}

function whereArgs({ host, port, database }: Pick<PgbenchPlan, 'host' | 'port' | 'database'>) {
  return ['-h', host, '-p', String(port), '-U', 'postgres', database];
}

function figure(text: string, pattern: RegExp): number | undefined {
  const match = pattern.exec(text);
  return match === null ? undefined : Number(match[1]);
}
