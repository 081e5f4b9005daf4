/** Memory of idle streams: a freshly started tunnel, filled in steps, emptied, and left alone. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ConnectionsCommand } from './load/connections.ts';
import type { IdleCommand, IdleResult } from './load/idle.ts';
import { type NodePids, rssOf } from './measure.ts';
import type { Options } from './options.ts';
import type { Script } from './processes.ts';
import type { Tunnel } from './tunnels/tunnel.ts';

export interface IdleStep {
  readonly streams: number;
  /** Growth of both nodes over the baseline, divided by the streams. */
  readonly bytesPerStream: number;
  readonly rssMB: number;
  /** How long opening them took, beyond those of the step before. */
  readonly openedInMs: number;
}

export interface IdleFigures {
  readonly streams: number;
  readonly bytesPerStream: number;
  readonly rssBaselineMB: number;
  readonly rssAfterMB: number;
  /** How long after closing `rssAfterMB` was read. */
  readonly afterMs: number;
  readonly steps: readonly IdleStep[];
}

const OPEN_TIMEOUT_MS = 180_000;
/** A node that has carried a few connections has its code loaded: that is the idle baseline. */
const WARM_UP_SECONDS = 0.3;

/** Measures one tunnel; `load` and `connections` are load generators of the bench. */
export async function measureIdle(
  tunnel: Tunnel,
  pids: NodePids,
  load: Script,
  connections: Script,
  options: Options,
): Promise<IdleFigures> {
  const port = tunnel.ports.echo;
  const warmUp: ConnectionsCommand = { port, concurrency: 4, seconds: WARM_UP_SECONDS };
  await connections.request(warmUp, OPEN_TIMEOUT_MS);
  await sleep(options.idleSettleMs);
  const baseline = totalRss(pids);
  const steps: IdleStep[] = [];
  try {
    for (const streams of options.idleSteps) {
      const startedAt = performance.now();
      const { held, lost } = await hold(load, { port, hold: streams });
      const openedInMs = Math.round(performance.now() - startedAt);
      if (held !== streams || lost > 0) throw new Error(`${lost} of ${streams} streams were lost`);
      await sleep(options.idleSettleMs);
      const rss = totalRss(pids);
      const bytesPerStream = Math.round((rss - baseline) / streams);
      steps.push({ streams, bytesPerStream, rssMB: rss / 1e6, openedInMs });
    }
  } finally {
    await hold(load, { port, hold: 0 });
  }
  await sleep(options.idleAfterMs);
  const last = steps.at(-1)!;
  return {
    streams: last.streams,
    bytesPerStream: last.bytesPerStream,
    rssBaselineMB: baseline / 1e6,
    rssAfterMB: totalRss(pids) / 1e6,
    afterMs: options.idleAfterMs,
    steps,
  };
}

function hold(load: Script, command: IdleCommand): Promise<IdleResult> {
  return load.request<IdleResult>(command, OPEN_TIMEOUT_MS);
}

function totalRss(pids: NodePids): number {
  const { red, gray } = rssOf(pids);
  return red + gray;
}
