/** What a run does, in order, and about how long each part of it takes. */
import { LIBRARIES } from './link/library.ts';
import { LINK_MEASUREMENTS, LINK_WARM_UP_PART } from './link/measure-link.ts';
import type { Options } from './options.ts';
import { HERD_ADDRESSES, herdName } from './sections/herds.ts';
import { idlePeers } from './sections/idle.ts';
import { BULK_LEAD_MS, CONNECTIONS_STRETCH, type RoundSection } from './sections/measurements.ts';
import { resumedPeers } from './sections/resume.ts';
import { roundSections } from './sections/rounds.ts';
import { isRouty } from './tunnels/variants.ts';

/** Something that is done in one piece; the same may be done several times. */
export interface Part {
  readonly what: string;
  readonly seconds: number;
}

/** Starting a tunnel and stopping it. Routy's nodes are enrolled first; sshd has keys made. */
const START_SECONDS: Readonly<Record<string, number>> = { routy: 3, ssh: 1, direct: 0 };
const OTHER_START_SECONDS = 0.5;
/** Around a measurement: its own warm-up, and the load's commands. */
const AROUND_SECONDS = 0.3;
/** Opened a second, in a tunnel that already holds many. */
const IDLE_STREAMS_PER_SECOND = 1_000;
/** One cut with all that belongs to it; autossh has to begin anew. */
const CUT_SECONDS = { routy: 0.7, ssh: 1.4 } as const;
/** Three processes are started for a herd, and a certificate is made for each of its nodes. */
const HERD_SECONDS = 4.5;
const HERD_SECONDS_PER_NODE = 0.07;
/** A library's two ends. */
const LINK_START_SECONDS = 1.5;

/** The parts of a run with these peers, in the order in which they are done. */
export function planOf(options: Options, peers: readonly string[]): readonly Part[] {
  const has = (section: Options['sections'][number]) => options.sections.includes(section);
  return [
    ...roundsOf(options, peers),
    ...(has('idle') ? idlePeers(peers, options.quick).map((peer) => idleOf(options, peer)) : []),
    ...(has('resume') ? resumedPeers(peers).map((peer) => cutsOf(options, peer)) : []),
    ...(has('peers') ? herdsOf(options) : []),
    ...(has('link') ? linkRoundsOf(options) : []),
  ];
}

/** `about 12 min: 5 x round 2 min, ...`. */
export function describePlan(parts: readonly Part[]): string {
  const list = [...new Set(parts.map(({ what }) => what))].map((what) => {
    const same = parts.filter((part) => part.what === what);
    const each = `${what} ${durationText(same[0]!.seconds)}`;
    return same.length === 1 ? each : `${same.length} x ${each}`;
  });
  return `about ${durationText(secondsOf(parts))}: ${list.join(', ')}`;
}

export function secondsOf(parts: readonly Part[]): number {
  return parts.reduce((sum, { seconds }) => sum + seconds, 0);
}

/** Whole seconds up to a minute and a half, then whole minutes. */
export function durationText(seconds: number): string {
  return seconds < 90 ? `${Math.ceil(seconds)} s` : `${Math.round(seconds / 60)} min`;
}

function roundsOf(options: Options, peers: readonly string[]): readonly Part[] {
  const sections = roundSections(options.sections);
  if (sections.length === 0 || peers.length === 0) return [];
  const seconds = peers.reduce((sum, peer) => {
    const measured = sections.map((section) => measurementSeconds(section, peer, options.seconds));
    return sum + startSeconds(peer) + warmUpSeconds(options) + measured.reduce((a, b) => a + b, 0);
  }, 0);
  return repeated('round', seconds, options.rounds, options.roundsBudgetMs);
}

/** The load of `warmUp`: connections, and a quarter of the time bytes each way. */
function warmUpSeconds({ warmUpSeconds: seconds }: Options): number {
  return CONNECTIONS_STRETCH * seconds + (2 * seconds) / 4 + 3 * AROUND_SECONDS;
}

function measurementSeconds(section: RoundSection, peer: string, seconds: number): number {
  const bothWays = 2 * (seconds + AROUND_SECONDS);
  const alone = seconds + AROUND_SECONDS;
  switch (section) {
    case 'throughput':
    case 'throughput8':
      return bothWays;
    case 'connections':
      return CONNECTIONS_STRETCH * seconds + AROUND_SECONDS;
    case 'echo':
      // Beside bulk only where there is a tunnel to share.
      return peer === 'direct' ? alone : alone + bothWays + (2 * BULK_LEAD_MS) / 1000;
  }
}

function idleOf(options: Options, peer: string): Part {
  const { idleSteps, idleSettleMs, idleAfterMs } = options;
  const waitedMs = idleSettleMs * (1 + idleSteps.length) + idleAfterMs;
  const openedSeconds = idleSteps.at(-1)! / IDLE_STREAMS_PER_SECOND;
  const seconds = startSeconds(peer) + waitedMs / 1000 + openedSeconds;
  return { what: `idle streams of ${peer}`, seconds };
}

function cutsOf({ resumeCuts }: Options, peer: string): Part {
  const each = CUT_SECONDS[peer === 'ssh' ? 'ssh' : 'routy'];
  return { what: `cuts of ${peer}`, seconds: startSeconds(peer) + resumeCuts * each };
}

function herdsOf({ herds, herdIdleMs }: Options): readonly Part[] {
  return herds.flatMap((nodes) =>
    HERD_ADDRESSES.map((addresses) => ({
      what: herdName(nodes, addresses),
      seconds: HERD_SECONDS + nodes * HERD_SECONDS_PER_NODE + (2 * herdIdleMs) / 1000,
    })),
  );
}

function linkRoundsOf(options: Options): readonly Part[] {
  const libraries = LIBRARIES.filter((name) => options.peers.includes(name));
  const measured = options.seconds + options.warmUpSeconds * LINK_WARM_UP_PART;
  const seconds = libraries.length * (LINK_START_SECONDS + LINK_MEASUREMENTS * measured);
  return repeated('link round', seconds, options.linkRounds, options.roundsBudgetMs);
}

/** As many times as wanted, or until another would end beyond the budget; once in any case. */
function repeated(what: string, seconds: number, times: number, budgetMs: number): Part[] {
  const fit = Math.max(1, Math.floor(budgetMs / 1000 / seconds));
  return Array.from({ length: Math.min(times, fit) }, () => ({ what, seconds }));
}

function startSeconds(peer: string): number {
  const kind = peer === 'before' || isRouty(peer) ? 'routy' : peer;
  return START_SECONDS[kind] ?? OTHER_START_SECONDS;
}
