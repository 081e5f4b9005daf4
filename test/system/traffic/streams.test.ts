import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Descriptors, descriptorsOf } from './counters.ts';
import { until } from '../../support/process.ts';
import { startTcpTools, type TcpTools } from '../../support/tcp-tools/tcp-tools.ts';
import { patternDigest } from '../../support/tcp-tools/pattern.ts';
import type { ServerMode } from '../../support/tcp-tools/servers.ts';
import { type RunningPair, startPair } from '../pair.ts';
import { systemTest, type World } from '../world.ts';

const HOST = '127.0.0.1';
const REPLY_BYTES = 10_000_000;
/** Nothing listens there: the service whose target refuses. */
const CLOSED_PORT = 1;
/** Local port of the forward to each service of the other site, in both namespaces. */
const FORWARDS = { echo: 9001, reply: 9002, reset: 9003, closed: 9004 } as const;
type Service = keyof typeof FORWARDS;

/** Clients on one side, servers on the other. */
interface Direction {
  readonly name: string;
  readonly clients: TcpTools;
  readonly servers: TcpTools;
  readonly ports: Readonly<Record<Service, number>>;
}

systemTest('streams keep what TCP promises', { timeoutMs: 240_000 }, async (world) => {
  const { pair, directions } = await prepare(world);
  for (const direction of directions) {
    await world.step(`half-close, ${direction.name}`, () => checkHalfClose(direction));
    await world.step(`reset, ${direction.name}`, () => checkResets(direction));
    await world.step(`a refused target, ${direction.name}`, () => checkRefused(world, direction));
  }
  for (const direction of directions) {
    await world.step(`20,000 short connections, ${direction.name}`, () =>
      checkNothingLeaks(world, pair, direction, () => checkBurst(world, direction)),
    );
    await world.step(`2,000 connections at once, ${direction.name}`, () =>
      checkNothingLeaks(world, pair, direction, () => checkHeld(direction)),
    );
  }
});

async function prepare(world: World): Promise<{ pair: RunningPair; directions: Direction[] }> {
  const red = startTcpTools(world.network.red, world.directory, 'tools-red');
  world.defer(red.stop);
  const gray = startTcpTools(world.network.gray, world.directory, 'tools-gray');
  world.defer(gray.stop);
  const ports = { red: await startServers(red), gray: await startServers(gray) };
  const pair = await startPair(world, {
    red: { services: targets(ports.red), forwards: forwardsTo('gray') },
    gray: { services: targets(ports.gray), forwards: forwardsTo('red') },
  });
  const directions = [
    { name: 'gray to red', clients: gray, servers: red, ports: ports.red },
    { name: 'red to gray', clients: red, servers: gray, ports: ports.gray },
  ];
  return { pair, directions };
}

async function startServers(tools: TcpTools): Promise<Record<Service, number>> {
  const serve = (mode: ServerMode): Promise<number> =>
    tools.call('serve', { mode, replyBytes: REPLY_BYTES });
  return {
    echo: await serve('echo'),
    reply: await serve('reply'),
    reset: await serve('reset'),
    closed: CLOSED_PORT,
  };
}

function targets(ports: Record<Service, number>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(ports).map(([service, port]) => [service, `${HOST}:${port}`]),
  );
}

function forwardsTo(site: string): Record<string, string> {
  return Object.fromEntries(
    Object.entries(FORWARDS).map(([service, port]) => [`${HOST}:${port}`, `${site}/${service}`]),
  );
}

/** The client shuts its write side and still gets the whole reply; the server got all of it. */
async function checkHalfClose({ clients, servers, ports }: Direction): Promise<void> {
  const reply = await clients.call('halfClose', {
    host: HOST,
    port: FORWARDS.reply,
    sendBytes: REPLY_BYTES,
  });
  const digest = patternDigest(REPLY_BYTES);
  assert.deepEqual(reply, { bytes: REPLY_BYTES, digest, outcome: 'end' });
  const figures = await until('the server has seen the end', async () => {
    const now = await servers.call('serverFigures', { port: ports.reply });
    return now.open === 0 ? now : undefined;
  });
  assert.equal(figures.lastDigest, digest);
  assert.deepEqual(figures.outcomes, { clean: 1 });
}

/** A reset is a reset at the other end, whichever end made it; never a clean end of stream. */
async function checkResets({ clients, servers, ports }: Direction): Promise<void> {
  const probe = await clients.call('probe', { host: HOST, port: FORWARDS.reset, send: true });
  assert.equal(probe.outcome, 'ECONNRESET');

  const before = await servers.call('serverFigures', { port: ports.echo });
  await clients.call('echoThenReset', { host: HOST, port: FORWARDS.echo });
  const after = await until('the target has seen the client go', async () => {
    const now = await servers.call('serverFigures', { port: ports.echo });
    return now.accepted === before.accepted + 1 && now.open === 0 ? now : undefined;
  });
  assert.equal(after.outcomes.ECONNRESET, (before.outcomes.ECONNRESET ?? 0) + 1);
}

const REFUSED_PROBES = 20;
const REFUSED_MS_MAX = 50;

async function checkRefused(world: World, { clients }: Direction): Promise<void> {
  const times: number[] = [];
  for (let n = 0; n < REFUSED_PROBES; n += 1) {
    const probe = await clients.call('probe', { host: HOST, port: FORWARDS.closed });
    assert.equal(probe.outcome, 'ECONNRESET');
    times.push(probe.outcomeMs);
  }
  times.sort((left, right) => left - right);
  const median = times[REFUSED_PROBES / 2]!;
  const slowest = times.at(-1)!;
  world.note(`reset after ${median.toFixed(1)} ms (median), ${slowest.toFixed(1)} ms (slowest)`);
  // One of twenty may have met a busy machine; a wait in the code would show in all of them.
  assert.ok(times.at(-2)! <= REFUSED_MS_MAX, `resets took ${times.map(Math.round).join(', ')} ms`);
}

const SHORT_CONNECTIONS = 20_000;
const HELD_CONNECTIONS = 2_000;

async function checkBurst(world: World, { clients }: Direction): Promise<void> {
  const burst = await clients.call('burst', {
    host: HOST,
    port: FORWARDS.echo,
    count: SHORT_CONNECTIONS,
    concurrency: 64,
  });
  assert.deepEqual(burst.failures, {});
  assert.equal(burst.answered, SHORT_CONNECTIONS);
  world.note(`${Math.round(SHORT_CONNECTIONS / (burst.ms / 1000))} short connections a second`);
}

async function checkHeld({ clients, servers, ports }: Direction): Promise<void> {
  const handle = await clients.call('hold', {
    host: HOST,
    port: FORWARDS.echo,
    count: HELD_CONNECTIONS,
  });
  const figures = await servers.call('serverFigures', { port: ports.echo });
  assert.equal(figures.open, HELD_CONNECTIONS);
  assert.equal(await clients.call('pokeHeld', { handle }), HELD_CONNECTIONS);
  await clients.call('releaseHeld', { handle });
}

/** Sockets and descriptors of both nodes, and the targets' connections, are what they were. */
async function checkNothingLeaks(
  world: World,
  pair: RunningPair,
  { servers, ports }: Direction,
  body: () => Promise<void>,
): Promise<void> {
  const pids = [pair.red.daemon.pid, pair.gray.daemon.pid];
  const before = await settledDescriptors(pids);
  await body();
  let after = before;
  await until(
    'both nodes hold as many sockets and descriptors as before',
    () => {
      after = pids.map(descriptorsOf);
      return after.every(
        (now, index) => now.sockets <= before[index]!.sockets && now.fds <= before[index]!.fds,
      );
    },
    { deadlineMs: 15_000 },
  ).catch((error: unknown) => {
    throw new Error(`${String(error)}: ${JSON.stringify({ before, after })}`);
  });
  world.note(`descriptors before and after: ${JSON.stringify({ before, after })}`);
  assert.equal((await servers.call('serverFigures', { port: ports.echo })).open, 0);
  for (const node of [pair.red, pair.gray]) {
    await node.untilStatus('no stream left', (status) =>
      [...status.services, ...status.forwards].every(({ streams }) => streams === 0),
    );
  }
}

/** The least of some looks: a poll of the status holds a socket for a moment. */
async function settledDescriptors(pids: readonly number[]): Promise<Descriptors[]> {
  let least = pids.map(descriptorsOf);
  for (let look = 0; look < 5; look += 1) {
    await sleep(50);
    least = pids.map(descriptorsOf).map((now, index) => ({
      fds: Math.min(now.fds, least[index]!.fds),
      sockets: Math.min(now.sockets, least[index]!.sockets),
    }));
  }
  return least;
}
