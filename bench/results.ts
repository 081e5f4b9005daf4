/** From samples to the figures that are printed and written as JSON. */
import { type BesideBefore, besideBefore } from './before.ts';
import type { IdleFigures } from './idle.ts';
import { type LinkResults, linkReaches, type Reach } from './link/link-results.ts';
import { type Machine, mean } from './measure.ts';
import type { PeersFigures } from './peers.ts';
import type { ResumeFigures } from './resume.ts';
import type { Samples } from './samples.ts';

type Figure = number | null;

/** One figure of each of the three that are always compared, and of whatever else was found. */
export interface Compared {
  readonly routy: Figure;
  readonly ssh: Figure;
  readonly direct: Figure;
  /** Routy's figure divided by that of `ssh -R`. */
  readonly ratioToSsh: Figure;
  readonly peers: Readonly<Record<string, Figure>>;
}

/** The mean of both directions, and each: `up` is towards the service. */
export interface EachWay extends Compared {
  readonly eachWay: { readonly up: Compared; readonly down: Compared };
}

export interface Results {
  /** Gbit/s of one stream. */
  readonly throughput: EachWay;
  /** Gbit/s of eight streams together. */
  readonly throughput8: EachWay;
  /** Opened, answered and closed a second, 16 at a time. */
  readonly connections: Compared & { readonly p50Us: Compared; readonly p99Us: Compared };
  /** Round trips of 64 bytes, microseconds. */
  readonly echo: {
    readonly p50Us: Compared;
    readonly p99Us: Compared;
    readonly p50DuringBulkUs: EachWay;
    readonly p99DuringBulkUs: EachWay;
    /** What the bulk stream moved meanwhile, Gbit/s. */
    readonly bulkGbit: EachWay;
  };
  /** CPU seconds of both nodes for 10^9 bytes of one stream. */
  readonly cpuSecondsPerGB: EachWay & { readonly red: Compared; readonly gray: Compared };
  /** Routy's; MB are 10^6 bytes of both nodes together. Null when it was not measured. */
  readonly idle: (IdleFigures & { readonly peers: Readonly<Record<string, IdleFigures>> }) | null;
  /** By peer: what becomes of a busy connection when the path is cut. Null when not measured. */
  readonly resume: Readonly<Record<string, ResumeFigures>> | null;
  /** Many nodes that dial one, back after its restart. */
  readonly herds: readonly PeersFigures[];
  /** The link library beside others. Null when it was not measured. */
  readonly link: LinkResults | null;
  /** Empty without a build before. */
  readonly besideBefore: readonly BesideBefore[];
  readonly targets: readonly Target[];
  readonly machine: Machine;
  /** What each peer is. */
  readonly notes: Readonly<Record<string, string>>;
  /** Measurements that failed and peers that are missing. */
  readonly problems: readonly string[];
  readonly rounds: number;
  readonly seconds: number;
}

/** What Routy is to reach. */
export interface Target extends Reach {
  /** Null when it could not be measured. */
  readonly reached: boolean | null;
}

const STANDARD = ['routy', 'ssh', 'direct'];

export interface Measured {
  readonly samples: Samples;
  readonly peers: readonly string[];
  readonly idle: ReadonlyMap<string, IdleFigures>;
  readonly resume: ReadonlyMap<string, ResumeFigures>;
  readonly herds: readonly PeersFigures[];
  readonly link: LinkResults | null;
  readonly machine: Machine;
  readonly notes: Readonly<Record<string, string>>;
  readonly problems: readonly string[];
  readonly rounds: number;
  readonly seconds: number;
}

export function summarize(measured: Measured): Results {
  const figures = compare(measured);
  const { machine, notes, problems, rounds, seconds } = measured;
  return {
    ...figures,
    idle: idleResults(measured.idle),
    resume: measured.resume.size === 0 ? null : Object.fromEntries(measured.resume),
    herds: measured.herds,
    link: measured.link,
    besideBefore: besideBefore(measured.samples),
    targets: [
      ...targetsOf(figures, measured.idle.get('routy'), measured.resume.get('routy')),
      target('200 nodes of one address back, ms', herdBackMs(measured.herds), 3000, false),
      ...(measured.link === null ? [] : linkReaches(measured.link)).map(judged),
    ],
    machine,
    notes,
    problems,
    rounds,
    seconds,
  };
}

type Figures = Omit<
  Results,
  | 'idle'
  | 'resume'
  | 'herds'
  | 'link'
  | 'besideBefore'
  | 'targets'
  | 'machine'
  | 'notes'
  | 'problems'
  | 'rounds'
  | 'seconds'
>;

function compare({ samples, peers }: Measured): Figures {
  const by = (figure: (peer: string) => Figure): Compared => compared(peers, figure);
  const one = (name: string) => by((peer) => samples.median(peer, name));
  const cpu = (peer: string, direction: string, nodes: readonly string[]) => {
    const parts = nodes.map((node) => samples.median(peer, `cpu.${direction}.${node}`));
    return parts.includes(null) ? null : (parts as number[]).reduce((a, b) => a + b, 0);
  };
  const bothWays = (figure: (peer: string, direction: string) => Figure): EachWay => ({
    ...by((peer) => meanOf(figure(peer, 'up'), figure(peer, 'down'))),
    eachWay: { up: by((peer) => figure(peer, 'up')), down: by((peer) => figure(peer, 'down')) },
  });
  const sampled = (prefix: string, suffix = '') =>
    bothWays((peer, direction) => samples.median(peer, `${prefix}.${direction}${suffix}`));
  const cpuOfNode = (node: string) =>
    by((peer) => meanOf(cpu(peer, 'up', [node]), cpu(peer, 'down', [node])));
  return {
    throughput: sampled('throughput'),
    throughput8: sampled('throughput8'),
    connections: {
      ...one('connections.perSecond'),
      p50Us: one('connections.p50Us'),
      p99Us: one('connections.p99Us'),
    },
    echo: {
      p50Us: one('echo.p50Us'),
      p99Us: one('echo.p99Us'),
      p50DuringBulkUs: sampled('bulkEcho', '.p50Us'),
      p99DuringBulkUs: sampled('bulkEcho', '.p99Us'),
      bulkGbit: sampled('bulkEcho', '.gbit'),
    },
    cpuSecondsPerGB: {
      ...bothWays((peer, direction) => cpu(peer, direction, ['red', 'gray'])),
      red: cpuOfNode('red'),
      gray: cpuOfNode('gray'),
    },
  };
}

function compared(peers: readonly string[], figure: (peer: string) => Figure): Compared {
  const [routy, ssh, direct] = STANDARD.map((peer) => rounded(figure(peer))) as [
    Figure,
    Figure,
    Figure,
  ];
  const others = peers.filter((peer) => !STANDARD.includes(peer));
  return {
    routy,
    ssh,
    direct,
    ratioToSsh: rounded(routy === null || ssh === null || ssh === 0 ? null : routy / ssh),
    peers: Object.fromEntries(others.map((peer) => [peer, rounded(figure(peer))])),
  };
}

function meanOf(up: Figure, down: Figure): Figure {
  return up === null || down === null ? null : mean([up, down]);
}

/** Four significant digits: more would be noise. */
function rounded(value: Figure): Figure {
  return value === null ? null : Number(value.toPrecision(4));
}

function idleResults(idle: ReadonlyMap<string, IdleFigures>): Results['idle'] {
  const routy = idle.get('routy');
  if (routy === undefined) return null;
  return { ...routy, peers: Object.fromEntries([...idle].filter(([peer]) => peer !== 'routy')) };
}

function targetsOf(
  figures: Figures,
  idle: IdleFigures | undefined,
  resume: ResumeFigures | undefined,
): Target[] {
  const { throughput, connections, echo } = figures;
  const { routy: echoInBulk, ssh: sshEchoInBulk } = echo.p99DuringBulkUs;
  const after = idle === undefined ? null : rounded(idle.rssAfterMB / idle.rssBaselineMB);
  return [
    target('throughput, ratio to ssh -R', throughput.ratioToSsh, 0.6, true),
    target('connections a second, ratio to ssh -R', connections.ratioToSsh, 5, true),
    target('echo p50, ratio to ssh -R', echo.p50Us.ratioToSsh, 1.3, false),
    target('echo p99 during bulk, ratio to ssh -R', echo.p99DuringBulkUs.ratioToSsh, 1, false),
    target('echo p99 during bulk, µs', echoInBulk, echoInBulkLimit(sshEchoInBulk), false),
    target('bytes an idle stream, both nodes', idle?.bytesPerStream ?? null, 25_000, false),
    target('RSS after closing, ratio to before', after, 1.2, false),
    target('connections lost when the path is cut', resume?.connectionsLost ?? null, 0, false),
    target('p99 from path back to first byte, ms', resume?.firstByteMs?.p99 ?? null, 1000, false),
  ];
}

function herdBackMs(herds: readonly PeersFigures[]): Figure {
  const herd = herds.find(({ nodes, addresses }) => nodes === 200 && addresses === 'one');
  return herd?.backMs ?? null;
}

/** 5 ms, or half of what ssh takes where that is more. */
function echoInBulkLimit(sshUs: Figure): number {
  return Math.max(5_000, (sshUs ?? 0) / 2);
}

function target(what: string, figure: Figure, limit: number, atLeast: boolean): Target {
  return judged({ what, figure, limit, atLeast });
}

function judged({ what, figure, limit, atLeast }: Reach): Target {
  const reached = figure === null ? null : atLeast ? figure >= limit : figure <= limit;
  return { what, figure, limit, atLeast, reached };
}
