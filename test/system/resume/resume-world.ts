import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { type Flow, flowsOf } from '../../support/namespaces/namespace-faults.ts';
import { until } from '../../support/process.ts';
import type { Home, RoutyNode } from '../../support/nodes/routy.ts';
import { startTcpTools, type TcpTools } from '../../support/tcp-tools/tcp-tools.ts';
import type { ExchangeEnd } from '../../support/tcp-tools/exchange.ts';
import { enrolPair, type PairOptions, ROUTY_PORT, RunningPair } from '../pair.ts';
import type { World } from '../world.ts';

export const SIDES = ['red', 'gray'] as const;
export type Side = (typeof SIDES)[number];

/** Ports of gray that lead to the services in red. */
export const EXCHANGE_PORT = 9000;
export const ECHO_PORT = 9001;

export interface GroundOptions {
  /** What the exchange server in red sends to each client; nothing by default. */
  readonly serve?: { readonly sendBytes: number; readonly bytesPerSecond?: number };
  readonly settings?: PairOptions['settings'];
  /** Instead of what `join` wrote: how red dials gray. */
  readonly peer?: PeerSettings;
  /** Called between enrolment and the start of the nodes. */
  readonly beforeStart?: () => Promise<void>;
}

export interface PeerSettings {
  readonly addresses?: readonly string[];
  readonly lanes?: number;
}

/** A running pair: clients in gray reach an exchange and an echo server in red. */
export interface Ground {
  readonly world: World;
  readonly pair: RunningPair;
  readonly red: TcpTools;
  readonly gray: TcpTools;
  /** Of the exchange server, in red. */
  readonly exchangePort: number;
}

export async function startGround(world: World, options: GroundOptions): Promise<Ground> {
  const { network, directory } = world;
  const red = startTcpTools(network.red, directory, 'tools-red');
  world.defer(red.stop);
  const gray = startTcpTools(network.gray, directory, 'tools-gray');
  world.defer(gray.stop);
  const [exchangePort, echoPort] = await Promise.all([
    red.call('serveExchange', options.serve ?? { sendBytes: 0 }),
    red.call('serve', { mode: 'echo' }),
  ]);
  const homes = await enrolPair(world, {
    red: { services: { exchange: `127.0.0.1:${exchangePort}`, echo: `127.0.0.1:${echoPort}` } },
    gray: {
      forwards: {
        [`127.0.0.1:${EXCHANGE_PORT}`]: 'red/exchange',
        [`127.0.0.1:${ECHO_PORT}`]: 'red/echo',
      },
    },
    ...(options.settings === undefined ? {} : { settings: options.settings }),
  });
  if (options.peer !== undefined) setPeer(homes.red, options.peer);
  await options.beforeStart?.();
  const pair = new RunningPair(homes);
  world.defer(() => pair.stop());
  await pair.untilReady();
  return { world, pair, red, gray, exchangePort };
}

/** Sets keys of the one `[[peer]]` of a configuration file. */
export function setPeer(home: Home, peer: PeerSettings): void {
  const lines = readFileSync(home.config, 'utf8').split('\n');
  const start = lines.indexOf('[[peer]]');
  if (start === -1) throw new Error(`no [[peer]] in ${home.config}`);
  const { addresses, lanes } = peer;
  if (addresses !== undefined) {
    const at = lines.findIndex((line, index) => index > start && /^address(es)? /.test(line));
    lines[at] = `addresses = ${JSON.stringify(addresses)}`;
  }
  if (lanes !== undefined) {
    const at = lines.findIndex((line, index) => index > start && line.startsWith('lanes '));
    lines.splice(at === -1 ? start + 1 : at, at === -1 ? 0 : 1, `lanes = ${lanes}`);
  }
  writeFileSync(home.config, lines.join('\n'));
}

/** Both ends of one stream: the client's in gray, the server's in red. */
export interface Exchange {
  readonly client: number;
  readonly server: number;
}

export async function startExchange(
  ground: Ground,
  plan: { sendBytes: number; bytesPerSecond?: number },
): Promise<Exchange> {
  const { red, gray, exchangePort: port } = ground;
  const before = (await red.call('acceptedExchanges', { port })).length;
  const client = await gray.call('startExchange', {
    host: '127.0.0.1',
    port: EXCHANGE_PORT,
    ...plan,
  });
  const server = await until('the server has the connection', async () => {
    return (await red.call('acceptedExchanges', { port }))[before];
  });
  return { client, server };
}

/** Which end of an exchange: the tools and the handle there. */
function ends(ground: Ground, exchange: Exchange): readonly (readonly [TcpTools, number])[] {
  return [
    [ground.gray, exchange.client],
    [ground.red, exchange.server],
  ];
}

/** A silence that a cut leaves begins this soon: what is in buffers takes no longer to arrive. */
const SILENCE_BEGINS_MS = 250;

/**
 * How long after `fromMs` bytes arrived again: at the client in gray, at the server in red, or the
 * later of both.
 * @throws when the stream ended instead, or it takes longer than `deadlineMs`.
 */
export async function untilFlowing(
  ground: Ground,
  exchange: Exchange,
  fromMs: number,
  options: { readonly deadlineMs: number; readonly at?: Side },
): Promise<number> {
  const { deadlineMs, at } = options;
  const watched = ends(ground, exchange).filter(
    ([tools]) => at === undefined || tools === ground[at],
  );
  const silences = watched.map(([tools, handle]) =>
    until(
      'bytes flow again',
      async () => {
        const params = { handle, fromMs, withinMs: SILENCE_BEGINS_MS };
        const silence = await tools.call('exchangeSilence', params);
        if (silence !== null) return { silence };
        const { outcome } = await tools.call('exchangeProgress', { handle });
        if (outcome !== null && outcome !== 'end') return { outcome };
        return undefined;
      },
      { deadlineMs, intervalMs: 20 },
    ),
  );
  let longest = 0;
  for (const result of await Promise.all(silences)) {
    if ('outcome' in result) throw new Error(`the stream did not outlive it: ${result.outcome}`);
    longest = Math.max(longest, result.silence);
  }
  return longest;
}

/** Waits for the end of an exchange and checks that both ends have every byte, once. */
export async function assertWhole(
  ground: Ground,
  exchange: Exchange,
  bytes: { readonly up: number; readonly down: number },
): Promise<void> {
  const [client, server] = (await Promise.all(
    ends(ground, exchange).map(([tools, handle]) => tools.call('exchangeEnd', { handle })),
  )) as [ExchangeEnd, ExchangeEnd];
  const facts = ({ received, intact, outcome }: ExchangeEnd) => ({ received, intact, outcome });
  assert.deepEqual(facts(client), { received: bytes.down, intact: true, outcome: 'end' });
  assert.deepEqual(facts(server), { received: bytes.up, intact: true, outcome: 'end' });
}

/** Half-closes both directions where they are and checks that every byte that was sent has come. */
export async function finishWhole(ground: Ground, exchange: Exchange): Promise<void> {
  const both = ends(ground, exchange);
  await Promise.all(both.map(([tools, handle]) => tools.call('finishExchange', { handle })));
  const [client, server] = (await Promise.all(
    both.map(([tools, handle]) => tools.call('exchangeEnd', { handle })),
  )) as [ExchangeEnd, ExchangeEnd];
  await assertWhole(ground, exchange, { up: client.sent, down: server.sent });
}

/** The one session each node has with the other. */
export async function sessionsOf(ground: Ground): Promise<Record<Side, string>> {
  const [red, gray] = await Promise.all(SIDES.map((side) => sessionOf(ground.pair[side])));
  return { red: red!, gray: gray! };
}

async function sessionOf(node: RoutyNode): Promise<string> {
  const sessions = (await node.status()).peers.filter((peer) => peer.session !== null);
  assert.equal(sessions.length, 1, `${node.home.name}: ${JSON.stringify(sessions)}`);
  return sessions[0]!.session!.id;
}

/** Streams that a node's forwards have opened so far. */
export async function openedBy(node: RoutyNode): Promise<number> {
  return (await node.status()).forwards.reduce((sum, { opened }) => sum + opened, 0);
}

/** The connections that carry lanes, as red and as gray see them, in one form for both. */
export async function laneFlows(
  ground: Ground,
  port = ROUTY_PORT,
): Promise<Record<Side, string[]>> {
  const { red, gray } = ground.world.network;
  const [atRed, atGray] = await Promise.all([flowsOf(red, port), flowsOf(gray, port)]);
  const named = (dialler: string, listener: string): string => `${dialler} to ${listener}`;
  return {
    red: atRed.map(({ local, remote }: Flow) => named(local, remote)).sort(),
    gray: atGray.map(({ local, remote }: Flow) => named(remote, local)).sort(),
  };
}

/** Waits until both nodes have the same lanes, at least one; gives how many. */
export async function untilLanesAgree(ground: Ground, deadlineMs: number): Promise<number> {
  return until(
    'red and gray have the same lanes',
    async () => {
      const { red, gray } = await laneFlows(ground);
      const same = red.length > 0 && red.join() === gray.join();
      if (!same) throw new Error(`red: ${red.join(', ')}; gray: ${gray.join(', ')}`);
      return red.length;
    },
    { deadlineMs, intervalMs: 50 },
  );
}

/** `p50 12 ms, p99 40 ms, most 41 ms` of figures in ms. */
export function spread(figures: readonly number[]): string {
  const sorted = figures.toSorted((left, right) => left - right);
  const at = (share: number): number =>
    Math.round(
      sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN,
    );
  return `p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, most ${at(1)} ms`;
}
