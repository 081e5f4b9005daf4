/** Prints results as tables for a terminal. */
import { linkReport } from './link/link-report.ts';
import { type Compared, type EachWay, figureOf, type Results, ratioToSsh } from './results.ts';
import type { IdleFigures, IdleStep } from './sections/idle.ts';
import type { ResumeFigures } from './sections/resume.ts';
import { isRouty } from './tunnels/variants.ts';

const LABEL_WIDTH = 34;
const COLUMN_WIDTH = 10;
const PEER_WIDTH = 16;

export function report(results: Results, peers: readonly string[]): string {
  const { machine } = results;
  return [
    '',
    `${machine.cores} cores of ${machine.cpu}, Linux ${machine.kernel}, Node ${machine.node}, load ${machine.loadAtStart} at start`,
    ...(results.rounds === 0
      ? []
      : [
          `medians of ${results.rounds} rounds, ${results.seconds} s each; up is towards the service`,
        ]),
    ...peers.map((peer) => `${peer}: ${results.notes[peer]}`),
    '',
    ...comparison(results, peers),
    ...beside(results),
    ...idle(results),
    ...resume(results),
    ...herds(results),
    ...linkReport(results.link),
    '',
    ...targets(results),
    ...(results.problems.length === 0 ? [] : ['', 'Not measured:']),
    ...results.problems.map((problem) => `  ${problem}`),
  ].join('\n');
}

function beside({ besideBefore }: Results): string[] {
  if (besideBefore.length === 0) return [];
  const rows = besideBefore.map(({ what, ratio, between }) => {
    const interval = between?.map((bound) => bound.toFixed(3)).join(' to ') ?? '';
    return `${what.padEnd(LABEL_WIDTH)}${ratio.toFixed(3).padStart(COLUMN_WIDTH)}    ${interval}`;
  });
  return ['', 'routy/before, within each round: mean, and its 95 % interval', ...rows];
}

function comparison(results: Results, peers: readonly string[]): string[] {
  const { throughput, throughput8, connections, echo, cpuSecondsPerGB } = results;
  const columns = [
    ...peers.map((peer) => column(peer, (figures) => figureOf(figures, peer))),
    ...peers
      .filter(isRouty)
      .map((peer) => column(`${peer}/ssh`, (figures) => ratioToSsh(figures, peer))),
  ];
  const row = (label: string, figures: Compared): string | null => {
    // A section that was not asked for has no rows.
    if (peers.every((peer) => figureOf(figures, peer) === null)) return null;
    const cells = columns.map(({ of, width }) => cell(of(figures), width));
    return `${label.padEnd(LABEL_WIDTH)}${cells.join('')}`;
  };
  const both = (label: string, { eachWay }: EachWay) => [
    row(`${label}, up`, eachWay.up),
    row(`${label}, down`, eachWay.down),
  ];
  const head = columns.map(({ name, width }) => name.padStart(width)).join('');
  const rows = [
    ...both('1 stream, Gbit/s', throughput),
    ...both('8 streams, Gbit/s', throughput8),
    row('new connections a second', connections),
    row('  to first byte p50, µs', connections.p50Us),
    row('  to first byte p99, µs', connections.p99Us),
    row('echo p50, µs', echo.p50Us),
    row('echo p99, µs', echo.p99Us),
    ...both('echo p50 in bulk, µs', echo.p50DuringBulkUs),
    ...both('echo p99 in bulk, µs', echo.p99DuringBulkUs),
    ...both('  that bulk, Gbit/s', echo.bulkGbit),
    row('CPU seconds per GB, red', cpuSecondsPerGB.red),
    row('CPU seconds per GB, gray', cpuSecondsPerGB.gray),
    row('CPU seconds per GB, both', cpuSecondsPerGB),
  ].filter((line) => line !== null);
  return rows.length === 0 ? [] : [`${''.padEnd(LABEL_WIDTH)}${head}`, ...rows];
}

interface Column {
  readonly name: string;
  readonly width: number;
  readonly of: (figures: Compared) => number | null;
}

/** As wide as all others, or its name. */
function column(name: string, of: Column['of']): Column {
  return { name, width: Math.max(COLUMN_WIDTH, name.length + 2), of };
}

function idle({ idle: figures }: Results): string[] {
  if (figures === null) return [];
  return ['', 'Idle streams, both nodes together', ...Object.entries(figures).flatMap(idleRows)];
}

function idleRows([peer, figures]: readonly [string, IdleFigures]): string[] {
  const baseline = figures.rssBaselineMB.toFixed(1);
  const after = figures.rssAfterMB.toFixed(1);
  return [
    ...figures.steps.map(
      ({ streams, bytesPerStream, rssMB, openedInMs, ...step }) =>
        `  ${peer.padEnd(PEER_WIDTH)}${String(streams).padStart(6)} streams: ${bytesPerStream} bytes each, RSS ${rssMB.toFixed(1)} MB (${baseline} before); opened in ${openedInMs} ms${closedText(step)}`,
    ),
    `  ${peer.padEnd(PEER_WIDTH)}RSS ${after} MB ${figures.afterMs / 1000} s after closing`,
  ];
}

function closedText({ closed, closedWhy }: Pick<IdleStep, 'closed' | 'closedWhy'>): string {
  return closed === 0 ? '' : `; ${closed} not held: ${closedWhy}`;
}

function resume({ resume: figures }: Results): string[] {
  if (figures === null) return [];
  return [
    '',
    'A busy connection whose path is cut',
    ...Object.entries(figures).flatMap(resumeRows),
  ];
}

function resumeRows([peer, figures]: readonly [string, ResumeFigures]): string[] {
  const { cuts, connectionsLost, firstByteMs, newConnectionMs, bytesReplayed } = figures;
  const times = (what: string, { p50, p99, max }: NonNullable<typeof firstByteMs>) =>
    `  ${peer.padEnd(PEER_WIDTH)}path back to ${what}: p50 ${p50} ms, p99 ${p99} ms, most ${max} ms`;
  return [
    `  ${peer.padEnd(PEER_WIDTH)}${connectionsLost} connections lost in ${cuts} cuts`,
    ...(firstByteMs === null ? [] : [times('first byte', firstByteMs)]),
    ...(newConnectionMs === null ? [] : [times('first byte of a new connection', newConnectionMs)]),
    ...(bytesReplayed === null
      ? []
      : [`  ${peer.padEnd(PEER_WIDTH)}${bytesReplayed} bytes replayed`]),
  ];
}

function herds({ herds: figures }: Results): string[] {
  if (figures.length === 0) return [];
  return [
    '',
    'Nodes that dial one, after its restart',
    ...figures.map((each) => {
      const { nodes, addresses, backMs, cpuSeconds, diallersCpuSeconds } = each;
      const idleCpu = each.idleCpuPerMille.toFixed(3);
      const rss = each.rssKBPerPeer.toFixed(0);
      return `  ${String(nodes).padStart(5)} of ${addresses.padEnd(5)} all back in ${backMs} ms, CPU ${cpuSeconds.toFixed(2)} s (and ${diallersCpuSeconds.toFixed(2)} s of those that dial); each: RSS ${rss} KB, idle ${idleCpu} thousandths of a core`;
    }),
  ];
}

function targets(results: Results): string[] {
  const measured = results.targets.filter(({ figure }) => figure !== null);
  // Named where there are several.
  const several = measured.some(({ peer }) => peer !== 'routy');
  return measured.map(({ peer, what, figure, limit, atLeast, reached }) => {
    const verdict = reached ? 'reached' : 'MISSED';
    const bound = `${atLeast ? 'at least' : 'at most'} ${limit}`;
    const name = several ? `${peer}: ${what}` : what;
    return `${name.padEnd(several ? 50 : 40)}${cell(figure)}  ${bound.padEnd(16)}${verdict}`;
  });
}

function cell(figure: number | null, width = COLUMN_WIDTH): string {
  return (figure === null ? '-' : String(Number(figure.toPrecision(3)))).padStart(width);
}
