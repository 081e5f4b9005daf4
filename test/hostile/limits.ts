import type { Outcome, Quiet, RunReport } from './run.ts';

/** What an honest tunnel and its node may suffer while others are hostile. */
export const LIMITS = {
  /** Of a 64-byte echo: the greater of the two. */
  echoP99Ms: 50,
  echoP99Ratio: 3,
  /** Of the rate in calm beside as much CPU time: two that pull at once share. */
  bulkShare: 0.4,
  /** `process_buffer` is 256 MiB by default; what is not in buffers may add 30 %. */
  rssMiB: 256 * 1.3,
  /** After the attacks: of the quiet figure. */
  rssRatioAfter: 1.3,
  logLinesAMinute: 100,
} as const;

/** What the honest tunnel suffered beyond the limits from one behaviour. */
export function missedBy({ name, failure, echo, bulkShare }: Outcome, quiet: Quiet): string[] {
  if (failure !== undefined) return [`${name}: ${failure}`];
  const missed: string[] = [];
  const echoMsMax = Math.max(LIMITS.echoP99Ms, LIMITS.echoP99Ratio * quiet.echo.p99Ms);
  if (echo!.p99Ms > echoMsMax) missed.push(`${name}: echo p99 ${echo!.p99Ms.toFixed(1)} ms`);
  const percent = (100 * bulkShare!).toFixed(0);
  if (bulkShare! < LIMITS.bulkShare) missed.push(`${name}: bulk at ${percent} %`);
  return missed;
}

/** What was beyond the limits, a line each. */
export function judge({ quiet, outcomes, ...all }: RunReport): string[] {
  const missed = outcomes.flatMap((outcome) => missedBy(outcome, quiet));
  const { rssMiBMax, logLinesInWorstMinute, after } = all;
  if (rssMiBMax > LIMITS.rssMiB) missed.push(`RSS ${rssMiBMax.toFixed(0)} MiB`);
  if (logLinesInWorstMinute >= LIMITS.logLinesAMinute) {
    missed.push(`${logLinesInWorstMinute} log lines in a minute`);
  }
  if (after.streams > 0) missed.push(`${after.streams} streams left`);
  if (after.heldBytes > 0) missed.push(`${after.heldBytes} bytes still held`);
  if (after.rssMiB > LIMITS.rssRatioAfter * quiet.rssMiB) {
    missed.push(`RSS ${after.rssMiB.toFixed(0)} MiB after, ${quiet.rssMiB.toFixed(0)} before`);
  }
  return missed;
}
