import type { RunReport } from './run.ts';

/** What an honest tunnel and its node may suffer while others are hostile. */
export const LIMITS = {
  /** Of a 64-byte echo: the greater of the two. */
  echoP99Ms: 50,
  echoP99Ratio: 3,
  /** Of the quiet rate: two that pull at once share. */
  bulkShare: 0.4,
  /** `process_buffer` is 256 MiB by default; what is not in buffers may add 30 %. */
  rssMiB: 256 * 1.3,
  /** After the attacks: of the quiet figure. */
  rssRatioAfter: 1.3,
  logLinesAMinute: 100,
} as const;

/** What was beyond the limits, a line each. */
export function judge({ quiet, outcomes, ...all }: RunReport): string[] {
  const missed: string[] = [];
  const echoMsMax = Math.max(LIMITS.echoP99Ms, LIMITS.echoP99Ratio * quiet.echo.p99Ms);
  for (const { name, failure, echo, bulkMBps } of outcomes) {
    if (failure !== undefined) missed.push(`${name}: ${failure}`);
    if ((echo?.p99Ms ?? 0) > echoMsMax)
      missed.push(`${name}: echo p99 ${echo!.p99Ms.toFixed(1)} ms`);
    const share = (bulkMBps ?? quiet.bulkMBps) / quiet.bulkMBps;
    if (share < LIMITS.bulkShare) missed.push(`${name}: bulk at ${(100 * share).toFixed(0)} %`);
  }
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
