/** One round of each section: every peer in turn, figures into the samples. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { BulkCommand, BulkResult } from '../load/bulk.ts';
import type { ConnectionsCommand, ConnectionsResult } from '../load/connections.ts';
import type { EchoCommand, EchoResult } from '../load/echo.ts';
import { cpuOf } from '../measure.ts';
import type { Section } from '../options.ts';
import type { Script } from '../processes.ts';
import { createSamples, type Samples } from '../samples.ts';
import type { Tunnel } from '../tunnels/tunnel.ts';

export interface Bench {
  readonly bulk: Script;
  readonly echo: Script;
  readonly connections: Script;
  readonly samples: Samples;
  readonly seconds: number;
  readonly warmUpSeconds: number;
  /** Tells about a measurement that failed; its figure is missing then. */
  failed(peer: string, what: string, error: unknown): void;
}

/** The other sections start tunnels of their own. */
export type RoundSection = Exclude<Section, 'idle' | 'resume' | 'peers' | 'link'>;

const DIRECTIONS = ['up', 'down'] as const;
type Direction = (typeof DIRECTIONS)[number];

const STREAMS_MANY = 8;
const CONCURRENCY = 16;
/** ssh answers connections in bursts with pauses of up to 90 ms between; short looks are luck. */
export const CONNECTIONS_STRETCH = 2;
const ECHO_BYTES = 64;
/** What a measurement may take beyond its own duration before it counts as hung. */
const SLACK_MS = 20_000;
/** Long enough for a bulk stream to fill every buffer of the way. */
export const BULK_LEAD_MS = 300;

export const ROUNDS: Readonly<
  Record<RoundSection, (bench: Bench, tunnels: readonly Tunnel[]) => Promise<void>>
> = {
  throughput: (bench, tunnels) => inTurn(bench, tunnels, 'throughput', (t) => throughput(bench, t)),
  throughput8: (bench, tunnels) =>
    inTurn(bench, tunnels, 'throughput of 8 streams', (t) => throughput8(bench, t)),
  connections: (bench, tunnels) =>
    inTurn(bench, tunnels, 'connections', (t) => connections(bench, t)),
  async echo(bench, tunnels) {
    await inTurn(bench, tunnels, 'echo', (t) => echoIdle(bench, t));
    // Without a tunnel nothing is shared between the two, so there is nothing to measure.
    const shared = tunnels.filter(({ pids }) => pids !== null);
    await inTurn(bench, shared, 'echo during bulk', (t) => echoDuringBulk(bench, t));
  },
};

/**
 * Unmeasured load for every peer, and for the load generators themselves: what is measured is a
 * tunnel that has been up for a while, not the compiler of a runtime that has just started.
 */
export async function warmUp(bench: Bench, tunnels: readonly Tunnel[]): Promise<void> {
  const unmeasured: Bench = { ...bench, samples: createSamples(), seconds: bench.warmUpSeconds };
  await ROUNDS.connections(unmeasured, tunnels);
  await ROUNDS.throughput({ ...unmeasured, seconds: bench.warmUpSeconds / 4 }, tunnels);
}

async function inTurn(
  bench: Bench,
  tunnels: readonly Tunnel[],
  what: string,
  measure: (tunnel: Tunnel) => Promise<void>,
): Promise<void> {
  for (const tunnel of tunnels) {
    // A tunnel that is gone was told about when it went.
    if (tunnel.failure() !== null) continue;
    await measure(tunnel).catch((error: unknown) => bench.failed(tunnel.name, what, error));
    const failure = tunnel.failure();
    if (failure !== null) bench.failed(tunnel.name, what, failure);
  }
}

async function throughput(bench: Bench, tunnel: Tunnel): Promise<void> {
  for (const direction of DIRECTIONS) {
    const before = tunnel.pids === null ? null : cpuOf(tunnel.pids);
    const { gbitPerSecond, bytes } = await bulk(bench, tunnel, direction, 1);
    bench.samples.add(tunnel.name, `throughput.${direction}`, gbitPerSecond);
    if (tunnel.pids === null || before === null) continue;
    const after = cpuOf(tunnel.pids);
    for (const node of ['red', 'gray'] as const) {
      const perGB = ((after[node] - before[node]) / bytes) * 1e9;
      bench.samples.add(tunnel.name, `cpu.${direction}.${node}`, perGB);
    }
  }
}

async function throughput8(bench: Bench, tunnel: Tunnel): Promise<void> {
  for (const direction of DIRECTIONS) {
    const { gbitPerSecond } = await bulk(bench, tunnel, direction, STREAMS_MANY);
    bench.samples.add(tunnel.name, `throughput8.${direction}`, gbitPerSecond);
  }
}

async function bulk(
  bench: Bench,
  tunnel: Tunnel,
  direction: Direction,
  streams: number,
): Promise<BulkResult> {
  const { seconds } = bench;
  const command: BulkCommand = { port: tunnel.ports.bulk, direction, streams, seconds };
  await bench.bulk.request(command, SLACK_MS);
  return bench.bulk.next<BulkResult>(seconds * 1000 + SLACK_MS);
}

async function connections(bench: Bench, tunnel: Tunnel): Promise<void> {
  const { samples } = bench;
  const seconds = bench.seconds * CONNECTIONS_STRETCH;
  const port = tunnel.ports.echo;
  const command: ConnectionsCommand = { port, concurrency: CONCURRENCY, seconds };
  const timeoutMs = seconds * 1000 + SLACK_MS;
  const result = await bench.connections.request<ConnectionsResult>(command, timeoutMs);
  if (result.failed > 0)
    throw new Error(`${result.failed} of ${result.failed + result.completed} were not answered`);
  samples.add(tunnel.name, 'connections.perSecond', result.perSecond);
  samples.add(tunnel.name, 'connections.p50Us', result.p50Us);
  samples.add(tunnel.name, 'connections.p99Us', result.p99Us);
}

async function echoIdle(bench: Bench, tunnel: Tunnel): Promise<void> {
  const { p50Us, p99Us } = await echo(bench, tunnel);
  bench.samples.add(tunnel.name, 'echo.p50Us', p50Us);
  bench.samples.add(tunnel.name, 'echo.p99Us', p99Us);
}

async function echoDuringBulk(bench: Bench, tunnel: Tunnel): Promise<void> {
  for (const direction of DIRECTIONS) {
    const { seconds } = bench;
    const port = tunnel.ports.bulk;
    const command: BulkCommand = { port, direction, streams: 1, seconds: seconds + 60 };
    await bench.bulk.request(command, SLACK_MS);
    await sleep(BULK_LEAD_MS);
    const measured = await echo(bench, tunnel).catch((error: unknown) => error);
    bench.bulk.interrupt();
    const { gbitPerSecond } = await bench.bulk.next<BulkResult>(SLACK_MS);
    if (measured instanceof Error) throw measured;
    const { p50Us, p99Us } = measured as EchoResult;
    bench.samples.add(tunnel.name, `bulkEcho.${direction}.p50Us`, p50Us);
    bench.samples.add(tunnel.name, `bulkEcho.${direction}.p99Us`, p99Us);
    bench.samples.add(tunnel.name, `bulkEcho.${direction}.gbit`, gbitPerSecond);
  }
}

function echo(bench: Bench, tunnel: Tunnel): Promise<EchoResult> {
  const { seconds } = bench;
  const command: EchoCommand = { port: tunnel.ports.echo, bytes: ECHO_BYTES, seconds };
  return bench.echo.request<EchoResult>(command, seconds * 1000 + SLACK_MS);
}
