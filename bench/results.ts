/** From samples to the figures that are printed and written as JSON. */
import { type BesideBefore, besideBefore } from './before.ts';
import { type LinkResults, linkReaches, type Reach } from './link/link-results.ts';
import { type Machine, mean } from './measure.ts';
import type { Samples } from './samples.ts';
import type { HerdFigures } from './sections/herds.ts';
import type { IdleFigures } from './sections/idle.ts';
import type { ResumeFigures } from './sections/resume.ts';
import { isRouty } from './tunnels/variants.ts';

type Figure = number | null;

/** One figure of each of the three that are always compared, and of whatever else was found. */
export interface Compared {
  readonly routy: Figure;
  readonly ssh: Figure;
  readonly direct: Figure;
  /** Routy's figure divided by that of `ssh -R`. */
  readonly ratioToSsh: Figure;
  /** The same for Routy on each further Node, by peer. */
  readonly ratiosToSsh: Readonly<Record<string, Figure>>;
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
  /** By peer; MB are 10^6 bytes of both nodes together. Null when not measured. */
  readonly idle: Readonly<Record<string, IdleFigures>> | null;
  /** By peer: what becomes of a busy connection when the path is cut. Null when not measured. */
  readonly resume: Readonly<Record<string, ResumeFigures>> | null;
  /** Many nodes that dial one, back after its restart. */
  readonly herds: readonly HerdFigures[];
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
  /** `routy`, or Routy on a further Node. */
  readonly peer: string;
  /** Null when it could not be measured. */
  readonly reached: boolean | null;
}

/** Stand by themselves in the results. */
const STANDARD = ['routy', 'ssh', 'direct'];

export interface Measured {
  readonly samples: Samples;
  readonly peers: readonly string[];
  readonly idle: ReadonlyMap<string, IdleFigures>;
  readonly resume: ReadonlyMap<string, ResumeFigures>;
  readonly herds: readonly HerdFigures[];
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
  const routies = ['routy', ...measured.peers.filter((peer) => peer !== 'routy' && isRouty(peer))];
  return {
    ...figures,
    idle: byPeer(measured.idle),
    resume: byPeer(measured.resume),
    herds: measured.herds,
    link: measured.link,
    besideBefore: besideBefore(measured.samples),
    targets: [
      ...routies.flatMap((peer) =>
        reachesOf(peer, figures, measured).map((reach) => judged(peer, reach)),
      ),
      judged(
        'routy',
        atMost('200 nodes of one address back, ms', herdBackMs(measured.herds), 3000),
      ),
      ...(measured.link === null ? [] : linkReaches(measured.link)).map((reach) =>
        judged('routy', reach),
      ),
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
  const byPeer = (names: readonly string[], of: (peer: string) => Figure) =>
    Object.fromEntries(names.map((peer) => [peer, rounded(of(peer))]));
  return {
    ...{ routy, ssh, direct },
    ratioToSsh: rounded(divided(routy, ssh)),
    ratiosToSsh: byPeer(others.filter(isRouty), (peer) => divided(figure(peer), ssh)),
    peers: byPeer(others, figure),
  };
}

/** A peer's figure, wherever it stands. */
export function figureOf(figures: Compared, peer: string): Figure {
  if (peer === 'routy' || peer === 'ssh' || peer === 'direct') return figures[peer];
  return figures.peers[peer] ?? null;
}

/** A figure of Routy, on whichever Node, divided by that of `ssh -R`. */
export function ratioToSsh(figures: Compared, peer: string): Figure {
  return peer === 'routy' ? figures.ratioToSsh : (figures.ratiosToSsh[peer] ?? null);
}

function divided(figure: Figure, by: Figure): Figure {
  return figure === null || by === null || by === 0 ? null : figure / by;
}

function meanOf(up: Figure, down: Figure): Figure {
  return up === null || down === null ? null : mean([up, down]);
}

/** Four significant digits: more would be noise. */
function rounded(value: Figure): Figure {
  return value === null ? null : Number(value.toPrecision(4));
}

function byPeer<T>(figures: ReadonlyMap<string, T>): Readonly<Record<string, T>> | null {
  return figures.size === 0 ? null : Object.fromEntries(figures);
}

/** What Routy is to reach on one Node, under its name there. */
function reachesOf(peer: string, figures: Figures, { idle, resume }: Measured): Reach[] {
  const { throughput, connections, echo } = figures;
  const inBulk = echo.p99DuringBulkUs;
  const [own, cut] = [idle.get(peer), resume.get(peer)];
  const after = own === undefined ? null : rounded(own.rssAfterMB / own.rssBaselineMB);
  const toSsh = (of: Compared) => ratioToSsh(of, peer);
  return [
    atLeast('throughput, ratio to ssh -R', toSsh(throughput), 0.6),
    atLeast('connections a second, ratio to ssh -R', toSsh(connections), 5),
    atMost('echo p50, ratio to ssh -R', toSsh(echo.p50Us), 1.3),
    atMost('echo p99 during bulk, ratio to ssh -R', toSsh(inBulk), 1),
    atMost('echo p99 during bulk, µs', figureOf(inBulk, peer), echoInBulkLimit(inBulk.ssh)),
    atMost('bytes an idle stream, both nodes', own?.bytesPerStream ?? null, 25_000),
    atMost('idle streams not held', own?.steps.at(-1)?.closed ?? null, 0),
    atMost('RSS after closing, ratio to before', after, 1.2),
    atMost('connections lost when the path is cut', cut?.connectionsLost ?? null, 0),
    atMost('p99 from path back to first byte, ms', cut?.firstByteMs?.p99 ?? null, 1000),
  ];
}

function herdBackMs(herds: readonly HerdFigures[]): Figure {
  const herd = herds.find(({ nodes, addresses }) => nodes === 200 && addresses === 'one');
  return herd?.backMs ?? null;
}

/** 5 ms, or half of what ssh takes where that is more. */
function echoInBulkLimit(sshUs: Figure): number {
  return Math.max(5_000, (sshUs ?? 0) / 2);
}

function atLeast(what: string, figure: Figure, limit: number): Reach {
  return { what, figure, limit, atLeast: true };
}

function atMost(what: string, figure: Figure, limit: number): Reach {
  return { what, figure, limit, atLeast: false };
}

function judged(peer: string, reach: Reach): Target {
  const { figure, limit } = reach;
  const reached = figure === null ? null : reach.atLeast ? figure >= limit : figure <= limit;
  return { peer, ...reach, reached };
}
