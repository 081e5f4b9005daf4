import type { PingReply, ReloadReport } from '../../status/status.ts';
import { adminOf, type Place } from '../context.ts';
import { EXIT, type Output } from '../output.ts';
import { columns, countText, msText } from '../text/table.ts';

/** Measures the way to each node of a site, or to one node. */
export async function ping(
  out: Output,
  options: Place & { readonly count: number },
  target: string,
): Promise<void> {
  const admin = adminOf(options);
  const replies = await admin.ping(target, options.count);
  out.facts(replies, pingText(replies));
}

function pingText(replies: readonly PingReply[]): string {
  const rows = replies.map(({ peer, sequence, rttMs, clockOffsetMs }) => [
    peer,
    `seq ${sequence}`,
    `rtt ${msText(rttMs)}`,
    `clock ${clockOffsetMs > 0 ? '+' : ''}${msText(clockOffsetMs)}`,
  ]);
  return columns(rows).join('\n');
}

export async function reload(out: Output, options: Place): Promise<number> {
  const report = await adminOf(options).reload();
  out.facts(report, reloadText(report));
  return report.applied ? EXIT.done : EXIT.failed;
}

/** What a reload did, one fact a line. */
export function reloadText(report: ReloadReport): string {
  const head = report.applied
    ? report.changes.length === 0
      ? 'reloaded: nothing changed'
      : `reloaded: ${countText(report.changes.length, 'change')}`
    : 'not reloaded: the file was refused and nothing changed';
  const restart = report.restartRequired.map((key) => `  restart routy for ${key} to take effect`);
  const reset =
    report.streamsReset === 0 ? [] : [`  ${countText(report.streamsReset, 'stream')} reset`];
  return [head, ...report.changes.map((change) => `  ${change}`), ...restart, ...reset].join('\n');
}

/** Shows the level, or changes it until the node ends. */
export async function logLevel(out: Output, options: Place, level?: string): Promise<void> {
  const admin = adminOf(options);
  const now = level === undefined ? await admin.logLevel() : await admin.setLogLevel(level);
  out.facts({ level: now }, level === undefined ? now : `log level is ${now} until the node ends`);
}

/** How often a waiting drain looks again, in ms. */
const DRAIN_LOOK_MS = 500;

/** Takes no new streams and waits: for the drain time, or with `--wait` until none is open. */
export async function drain(
  out: Output,
  options: Place & { readonly wait?: boolean },
): Promise<number> {
  const admin = adminOf(options);
  out.progress('draining: waiting for the open streams to end');
  let report = await admin.drain();
  while (options.wait === true && !report.drained) {
    await new Promise((resolve) => setTimeout(resolve, DRAIN_LOOK_MS));
    const { state } = await admin.status();
    // Somebody else has ended the drain: waiting on would begin another.
    if (state !== 'draining') break;
    report = await admin.drain();
  }
  const { drained, streams } = report;
  out.facts(
    report,
    drained
      ? 'drained: the node takes no new streams, none is open, and it may be stopped'
      : `NOT drained: ${countText(streams, 'stream')} still open; no new ones are taken
  hint: wait for them with "routy drain --wait", or take streams again with "routy undrain":
        peers that have some open then open new ones when those have ended`,
  );
  return drained ? EXIT.done : EXIT.failed;
}

/** Ends a drain. */
export async function undrain(out: Output, options: Place): Promise<void> {
  const report = await adminOf(options).undrain();
  const { undrained, sessionsWaiting } = report;
  const waiting =
    sessionsWaiting === 0
      ? ''
      : `\n${countText(sessionsWaiting, 'session')} still busy: the peer opens new streams when those of before have ended`;
  out.facts(
    report,
    undrained ? `the node takes streams again${waiting}` : 'the node did not drain: nothing to do',
  );
}
