import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { libc } from '../../packages/link/src/transport/native/libc.ts';
import { losePower, timersOf } from '../support/namespaces/namespace-faults.ts';
import { addMachine, type Namespace, removeMachine } from '../support/namespaces/namespaces.ts';
import { until } from '../support/process.ts';
import type { Home } from '../support/nodes/routy.ts';
import { startTcpTools, type TcpTools } from '../support/tcp-tools/tcp-tools.ts';
import { enrolPair, RunningPair } from './pair.ts';
import { systemTest, type World } from './world.ts';

const KEEPALIVE_MS = 3_000;
/** Ten questions, one a second; and what a machine with much else to do needs. */
const TOLD_MS_MAX = KEEPALIVE_MS + 10_000 + 10_000;
const DATABASE_PORT = 9001;
const ECHO_PORT = 9002;
const SOURCE_PORT = 9003;
/** Bytes on their way are looked at by way of koffi, which is optional. */
const LOOKS = libc() !== undefined;

/** A client of a forward, and the process it stands in. */
interface Client {
  readonly tools: TcpTools;
  readonly handle: number;
}

/** Servers and clients, each on a machine: gray has the forwards, red the services. */
interface Ground {
  readonly pair: RunningPair;
  /** Beside red; offered as a service. */
  readonly database: Machine;
  /** Beside gray; has clients. */
  readonly application: Machine;
  readonly red: TcpTools;
  readonly gray: TcpTools;
  readonly targets: { readonly echo: number; readonly source: number };
}

interface Machine {
  readonly machine: Namespace;
  /** Its neighbour's address. */
  readonly neighbourIpv4: string;
  readonly tools: TcpTools;
}

systemTest(
  'a machine that lost power is told as a reset',
  { timeoutMs: 120_000 },
  async (world) => {
    const ground = await prepare(world);
    const { red, gray, application, database, targets, pair } = ground;
    const here = '127.0.0.1';
    const there = application.neighbourIpv4;
    // Two that nothing happens to.
    const idle = await talk(gray, here, ECHO_PORT);
    const reading = await openPaused(gray, here);
    // Those that lose their target, and those that lose their client.
    const askedIdle = await talk(gray, here, DATABASE_PORT);
    const asking = await talk(gray, here, DATABASE_PORT);
    await talk(application.tools, there, ECHO_PORT);
    await openPaused(application.tools, there);
    await until('nothing is taken from gray any more', async () => {
      const timers = await timersOf(world.network.gray, SOURCE_PORT);
      return timers.filter((timer) => timer === 'persist').length === 2;
    });

    await Promise.all([losePower(database.machine), losePower(application.machine)]);
    const cutAt = performance.now();
    // Nobody hears of it.
    await Promise.all([database, application].map(({ tools }) => tools.daemon.stop('SIGKILL')));
    await asking.tools.call('sendAsReader', { handle: asking.handle });
    const told = (what: string, outcome: () => Promise<string | null>): Promise<void> =>
      untilTold(world, what, cutAt, outcome);
    await Promise.all([
      told('the client of an idle target that is gone', () => outcomeOf(askedIdle)),
      told('the target of an idle client that is gone', () => onlyOutcome(red, targets.echo)),
      ...(LOOKS
        ? [
            told('the client of a target that is gone with bytes on their way', () =>
              outcomeOf(asking),
            ),
            told('the target of a client that is gone and did not read', () =>
              onlyOutcome(red, targets.source),
            ),
          ]
        : []),
    ]);
    await untilStreams(pair, LOOKS ? 2 : 4);
    await gray.call('sendAsReader', { handle: idle.handle });
    await untilBytes(idle, 2);
    assert.equal(await outcomeOf(idle), null);
    assert.equal(await outcomeOf(reading), null);
    for (const { handle } of [idle, reading]) await gray.call('closeReader', { handle });
    await untilStreams(pair, LOOKS ? 0 : 2);
  },
);

async function prepare(world: World): Promise<Ground> {
  const { network, directory } = world;
  const start = (namespace: Namespace, name: string): TcpTools => {
    const tools = startTcpTools(namespace, directory, name);
    world.defer(tools.stop);
    return tools;
  };
  const beside = async (neighbour: Namespace, number: number, name: string): Promise<Machine> => {
    const added = await addMachine(neighbour, number);
    world.defer(() => removeMachine(added.machine));
    return { ...added, tools: start(added.machine, name) };
  };
  const database = await beside(network.red, 1, 'tools-database');
  const application = await beside(network.gray, 2, 'tools-application');
  const red = start(network.red, 'tools-red');
  const gray = start(network.gray, 'tools-gray');
  const [databasePort, echo, source] = await Promise.all([
    database.tools.call('serve', { mode: 'echo' }),
    red.call('serve', { mode: 'echo' }),
    red.call('serve', { mode: 'source' }),
  ]);
  const homes = await enrolPair(world, {
    red: {
      services: {
        database: `${database.machine.ipv4}:${databasePort}`,
        echo: `127.0.0.1:${echo}`,
        source: `127.0.0.1:${source}`,
      },
    },
    gray: {
      forwards: {
        [`0.0.0.0:${DATABASE_PORT}`]: 'red/database',
        [`0.0.0.0:${ECHO_PORT}`]: 'red/echo',
        [`0.0.0.0:${SOURCE_PORT}`]: 'red/source',
      },
    },
  });
  for (const home of [homes.red, homes.gray]) setKeepalive(home);
  const pair = new RunningPair(homes);
  world.defer(() => pair.stop());
  await pair.untilReady();
  return { pair, database, application, red, gray, targets: { echo, source } };
}

/** In every service and every forward. */
function setKeepalive(home: Home): void {
  const text = readFileSync(home.config, 'utf8');
  const key = `keepalive = "${KEEPALIVE_MS}ms"`;
  writeFileSync(home.config, text.replaceAll(/^(?:target|to) = .*$/gm, `$&\n${key}`));
}

/** A client that has sent a byte and got it back. */
async function talk(tools: TcpTools, host: string, port: number): Promise<Client> {
  const client = { tools, handle: await tools.call('openReader', { host, port }) };
  await tools.call('sendAsReader', { handle: client.handle });
  await untilBytes(client, 1);
  return client;
}

/** A client that reads once of all that is sent to it. */
async function openPaused(tools: TcpTools, host: string): Promise<Client> {
  const where = { host, port: SOURCE_PORT, bytesPerSecond: 1 };
  return { tools, handle: await tools.call('openReader', where) };
}

async function untilBytes({ tools, handle }: Client, bytes: number): Promise<void> {
  await until(`${bytes} bytes`, async () => {
    return (await tools.call('readerBytes', { handle })) === bytes;
  });
}

function outcomeOf({ tools, handle }: Client): Promise<string | null> {
  return tools.call('readerOutcome', { handle });
}

/** Of the connections to a server, how the one that has ended did. */
async function onlyOutcome(tools: TcpTools, port: number): Promise<string | null> {
  const { outcomes, open } = await tools.call('serverFigures', { port });
  const ended = Object.entries(outcomes);
  if (ended.length === 0) return null;
  assert.deepEqual([ended.length, ended[0]![1], open], [1, 1, 1], JSON.stringify(outcomes));
  return ended[0]![0];
}

/** It ends as if the other end had reset it, in time. */
async function untilTold(
  world: World,
  what: string,
  cutAt: number,
  outcome: () => Promise<string | null>,
): Promise<void> {
  const options = { deadlineMs: TOLD_MS_MAX, intervalMs: 100 };
  const how = await until(`${what} is told`, async () => (await outcome()) ?? undefined, options);
  world.note(`${what}: ${how} after ${((performance.now() - cutAt) / 1000).toFixed(1)} s`);
  assert.equal(how, 'ECONNRESET', what);
}

async function untilStreams({ red, gray }: RunningPair, count: number): Promise<void> {
  await Promise.all(
    [red, gray].map((node) =>
      node.untilStatus(`${count} streams`, ({ peers }) =>
        peers.every(({ session }) => session?.streams === count),
      ),
    ),
  );
}
