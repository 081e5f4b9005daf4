/**
 * `npm run hostile -- [--seconds N] [--json FILE] [NAME…]`: everything a hostile node or stranger is
 * known to do, one after the other, beside an honest tunnel that is measured. The exit code is 0
 * when the honest tunnel and the node kept within the limits, 1 when not, 2 for wrong usage.
 */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { BEHAVIOURS } from './behaviours/behaviours.ts';
import { judge, LIMITS, missedBy } from './limits.ts';
import { type Outcome, runHostile } from './run.ts';

const { values, positionals } = readArguments();
const seconds = Number(values.seconds);
const known = BEHAVIOURS.some(({ name }) => positionals.some((part) => name.includes(part)));
if (!(seconds >= 0.5) || (positionals.length > 0 && !known)) usage();

process.stdout.write(
  `${'behaviour'.padEnd(42)} rounds   p50 ms   p99 ms   bulk  quiet   calm   gray hostile  RSS MiB  log lines\n` +
    `${' '.repeat(70)}MB/s     of     of   CPUs    CPUs\n`,
);
const report = await runHostile({
  only: positionals,
  seconds,
  idleSeconds: 90,
  isGood: (outcome, quiet) => missedBy(outcome, quiet).length === 0,
  onOutcome: print,
});
const verdict = judge(report);
process.stdout.write(
  `quiet: echo p99 ${report.quiet.echo.p99Ms.toFixed(1)} ms, bulk ${calmText()}, ` +
    `RSS ${report.quiet.rssMiB.toFixed(0)} MiB\n` +
    `worst: RSS ${report.rssMiBMax.toFixed(0)} MiB (limit ${LIMITS.rssMiB.toFixed(0)}), ` +
    `${report.logLinesInWorstMinute} log lines in a minute (limit ${LIMITS.logLinesAMinute})\n` +
    `after: ${report.after.streams} streams, ${report.after.heldBytes} bytes held, ` +
    `RSS ${report.after.rssMiB.toFixed(0)} MiB\n`,
);
for (const line of verdict) process.stdout.write(`MISSED ${line}\n`);
if (verdict.length === 0) process.stdout.write('all within the limits\n');
if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(report, null, 1)}\n`);
process.exit(verdict.length === 0 ? 0 : 1);

function print(outcome: Outcome): void {
  const { name, rounds, rssMiB, logLines, failure, errors } = outcome;
  const columns = [
    String(rounds).padStart(6),
    failure ?? honestFigures(outcome),
    rssMiB.toFixed(0).padStart(8),
    String(logLines).padStart(10),
  ];
  const wrong = errors.length > 0 ? `  (${errors.join('; ')})` : '';
  process.stdout.write(`${name.padEnd(42)} ${columns.join(' ')}${wrong}\n`);
}

function honestFigures({ echo, bulkMBps, calmMBps, bulkShare, cpu }: Outcome): string {
  const percent = (share: number): string => `${(100 * share).toFixed(0)} %`;
  return [
    echo!.p50Ms.toFixed(1).padStart(8),
    echo!.p99Ms.toFixed(1).padStart(8),
    bulkMBps!.toFixed(0).padStart(6),
    percent(bulkMBps! / calmMBps).padStart(6),
    percent(bulkShare!).padStart(6),
    cpu!.gray.toFixed(2).padStart(6),
    cpu!.hostile.toFixed(2).padStart(7),
  ].join(' ');
}

function calmText(): string {
  return report.quiet.bulk
    .map(({ cpu, bulkMBps }) => `${bulkMBps.toFixed(0)} MB/s beside ${cpu.toFixed(2)} CPUs`)
    .join(', ');
}

function readArguments() {
  try {
    return parseArgs({
      options: { seconds: { type: 'string', default: '6' }, json: { type: 'string' } },
      allowPositionals: true,
    });
  } catch {
    return usage();
  }
}

function usage(): never {
  process.stderr.write('usage: npm run hostile -- [--seconds N] [--json FILE] [NAME…]\nnames:\n');
  for (const { name } of BEHAVIOURS) process.stderr.write(`  ${name}\n`);
  process.exit(2);
}
