/** Memory of idle streams: a freshly started tunnel, filled in steps, emptied, and left alone. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ConnectionsCommand } from '../load/connections.ts';
import type { IdleCommand, IdleResult } from '../load/idle.ts';
import { type NodePids, rssOf } from '../measure.ts';
import type { Options } from '../options.ts';
import { type Script, startScript } from '../processes.ts';
import type { Tunnel, TunnelKind } from '../tunnels/tunnel.ts';
import { messageOf, type Run, startTunnel } from './run.ts';

export interface IdleStep {
  /** Held: fewer than wanted where the peer closed some. */
  readonly streams: number;
  /** Growth of both nodes over the baseline, divided by the streams. */
  readonly bytesPerStream: number;
  readonly rssMB: number;
  /** How long opening them took, beyond those of the step before. */
  readonly openedInMs: number;
  /** Connections that the peer has closed by then. */
  readonly closed: number;
  /** How the last of them ended. */
  readonly closedWhy: string;
}

export interface IdleFigures {
  readonly streams: number;
  readonly bytesPerStream: number;
  readonly rssBaselineMB: number;
  readonly rssAfterMB: number;
  /** How long after closing `rssAfterMB` was read. */
  readonly afterMs: number;
  /** The last is the first in which the peer closed a connection, if it did. */
  readonly steps: readonly IdleStep[];
}

const OPEN_TIMEOUT_MS = 180_000;
/** A node that has carried a few connections has its code loaded: that is the idle baseline. */
const WARM_UP_SECONDS = 0.3;
/** In a quick run the others' idle streams would take too long. */
const QUICK_PEER = 'routy';

/** Which peers hold idle streams, of those that are measured. */
export function idlePeers(peers: readonly string[], quick: boolean): readonly string[] {
  return peers.filter((peer) => (quick ? peer === QUICK_PEER : peer !== 'direct'));
}

/** One peer after the other, each freshly started, so that its memory is its own idle streams'. */
export async function measureIdlePeers(run: Run): Promise<Map<string, IdleFigures>> {
  const { kinds, options, progress } = run;
  const figures = new Map<string, IdleFigures>();
  const chosen = idlePeers(
    kinds.map(({ name }) => name),
    options.quick,
  );
  for (const kind of kinds.filter(({ name }) => chosen.includes(name))) {
    const beganMs = performance.now();
    const measured = await measureIdlePeer(run, kind);
    if (measured !== null) figures.set(kind.name, measured);
    progress.done(`idle streams of ${kind.name}`, performance.now() - beganMs);
  }
  return figures;
}

/** Null when nothing could be measured. */
async function measureIdlePeer(run: Run, kind: TunnelKind): Promise<IdleFigures | null> {
  const tunnel = await startTunnel(run, kind);
  if (tunnel === null) return null;
  const scripts: IdleScripts = {
    load: startScript('./load/idle.ts'),
    connections: startScript('./load/connections.ts'),
  };
  try {
    return await measureIdle(tunnel, scripts, run.options);
  } catch (error) {
    run.problem(`${kind.name}: idle streams: ${messageOf(error)}`);
    return null;
  } finally {
    await tunnel.stop();
    for (const script of Object.values(scripts)) await script.stop();
  }
}

/** Load generators of the bench. */
interface IdleScripts {
  readonly load: Script;
  readonly connections: Script;
}

async function measureIdle(
  tunnel: Tunnel,
  { load, connections }: IdleScripts,
  options: Options,
): Promise<IdleFigures | null> {
  const { ports, pids } = tunnel;
  if (pids === null) return null;
  const port = ports.echo;
  const warmUp: ConnectionsCommand = { port, concurrency: 4, seconds: WARM_UP_SECONDS };
  await connections.request(warmUp, OPEN_TIMEOUT_MS);
  await sleep(options.idleSettleMs);
  const baseline = totalRss(pids);
  const steps: IdleStep[] = [];
  for (const streams of options.idleSteps) {
    const step = await measureStep(load, { port, hold: streams }, pids, baseline, options);
    steps.push(step);
    if (step.closed > 0) break;
  }
  const last = steps.at(-1)!;
  await hold(load, { port, hold: 0 });
  await sleep(options.idleAfterMs);
  return {
    streams: last.streams,
    bytesPerStream: last.bytesPerStream,
    rssBaselineMB: baseline / 1e6,
    rssAfterMB: totalRss(pids) / 1e6,
    afterMs: options.idleAfterMs,
    steps,
  };
}

async function measureStep(
  load: Script,
  command: IdleCommand,
  pids: NodePids,
  baseline: number,
  { idleSettleMs }: Options,
): Promise<IdleStep> {
  const startedAt = performance.now();
  const { held: streams, why } = await hold(load, command);
  if (streams === 0) throw new Error(`none of ${command.hold} was held: ${why}`);
  const openedInMs = Math.round(performance.now() - startedAt);
  await sleep(idleSettleMs);
  const rss = totalRss(pids);
  // Asked again: what was opened may have been closed since.
  const { closed, why: closedWhy } = await hold(load, { ...command, hold: streams });
  const bytesPerStream = Math.round((rss - baseline) / streams);
  return { streams, bytesPerStream, rssMB: rss / 1e6, openedInMs, closed, closedWhy };
}

function hold(load: Script, command: IdleCommand): Promise<IdleResult> {
  return load.request<IdleResult>(command, OPEN_TIMEOUT_MS);
}

function totalRss(pids: NodePids): number {
  const { red, gray } = rssOf(pids);
  return red + gray;
}
