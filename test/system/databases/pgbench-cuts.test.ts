import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { killFlows } from '../../support/namespaces/namespace-faults.ts';
import { type PgbenchPlan, type PgbenchResult, preparePgbench, runPgbench } from './pgbench.ts';
import { type Postgres, startPostgres } from './postgres.ts';
import { type SshTunnel, startSshTunnel } from './ssh-tunnel.ts';
import { ROUTY_PORT, startPair } from '../pair.ts';
import { assertEqual, type Flow, insertRows, publish, subscribe } from './postgres-replication.ts';
import { systemTest, type World } from '../world.ts';

const FORWARD_PORT = 6432;
const SSH_FORWARD_PORT = 7432;
const SECONDS = 60;
const CUT_EVERY_MS = 3_000;
const ROWS_A_SECOND = 500;
const LOAD = { clients: 8, rate: 100, seconds: SECONDS } as const;
/** What a subscriber's server says when its connection to the publisher fails. */
const REPLICATION_ERROR =
  /could not (receive data from|send data to) WAL stream|could not connect to the publisher|logical replication .* exited/;

/**
 * Both ways of logical replication and a pgbench run through Routy, and another pgbench run through
 * `ssh -R`, on the same servers at the same time; both lose their connections at the same moments.
 */
systemTest(
  'databases do not notice a lane that dies every 3 s',
  { timeoutMs: 240_000 },
  async (world) => {
    const { network, directory } = world;
    const [red, gray] = await Promise.all([
      startPostgres(network.red, directory, 'postgres-red'),
      startPostgres(network.gray, directory, 'postgres-gray'),
    ]);
    world.defer(red.stop);
    world.defer(gray.stop);
    await startRouty(world, red, gray);
    const ssh = await startSshTunnel(network, directory, {
      forwardPort: SSH_FORWARD_PORT,
      targetPort: red.port,
    });
    world.defer(ssh.stop);
    const flows = await replicate(red, gray);
    const routyLoad = await prepare(world, red, 'bench_routy', FORWARD_PORT);
    const sshLoad = await prepare(world, red, 'bench_ssh', SSH_FORWARD_PORT);

    const logsBefore = { red: red.daemon.output().length, gray: gray.daemon.output().length };
    const [routy, other, cuts] = await Promise.all([
      runPgbench(network.gray, routyLoad),
      runPgbench(network.gray, sshLoad),
      cutAll(world, ssh),
      ...flows.map(insertSteadily),
    ]);
    world.note(`${cuts} cuts in ${SECONDS} s`);
    world.note(`through Routy: ${describe(routy)}`);
    world.note(`through ssh -R with autossh: ${describe(other)}`);
    for (const flow of flows) await assertEqual(flow, ROWS_A_SECOND * SECONDS, 30_000);
    assert.ok(cuts >= SECONDS / 4, `only ${cuts} cuts`);
    assert.ok(routy.transactions > 0, 'pgbench did nothing');
    assert.deepEqual(routy.errors, []);
    for (const [side, server] of Object.entries({ red, gray })) {
      const lines = server.daemon
        .output()
        .slice(logsBefore[side as 'red' | 'gray'])
        .split('\n');
      const failed = lines.filter((line) => REPLICATION_ERROR.test(line));
      assert.deepEqual(failed, [], `replication in ${side} noticed`);
    }
  },
);

async function startRouty(world: World, red: Postgres, gray: Postgres): Promise<void> {
  const forward = `127.0.0.1:${FORWARD_PORT}`;
  await startPair(world, {
    red: {
      services: { postgres: `127.0.0.1:${red.port}` },
      forwards: { [forward]: 'gray/postgres' },
    },
    gray: {
      services: { postgres: `127.0.0.1:${gray.port}` },
      forwards: { [forward]: 'red/postgres' },
    },
  });
}

async function replicate(red: Postgres, gray: Postgres): Promise<Flow[]> {
  const through = { host: '127.0.0.1', port: FORWARD_PORT };
  const flows: Flow[] = [
    { table: 'made_in_red', origin: red, copy: gray, ...through },
    { table: 'made_in_gray', origin: gray, copy: red, ...through },
  ];
  for (const flow of flows) await publish(flow);
  for (const flow of flows) {
    await subscribe(flow);
    // The first copy is a connection of its own: it is over before the cuts begin.
    await insertRows(flow, 1, ROWS_A_SECOND);
    await assertEqual(flow, ROWS_A_SECOND, 30_000);
  }
  return flows;
}

async function prepare(
  world: World,
  server: Postgres,
  database: string,
  port: number,
): Promise<PgbenchPlan> {
  await server.query(`create database ${database}`);
  const { red } = world.network;
  await preparePgbench(red, { host: '127.0.0.1', port: server.port, database });
  return { ...LOAD, host: '127.0.0.1', port, database };
}

async function insertSteadily(flow: Flow): Promise<void> {
  for (let second = 1; second < SECONDS; second += 1) {
    await insertRows(flow, second * ROWS_A_SECOND + 1, (second + 1) * ROWS_A_SECOND);
    await sleep(900);
  }
}

/** Kills the connections of both tunnels at the same moments; gives how often Routy had one. */
async function cutAll(world: World, ssh: SshTunnel): Promise<number> {
  const { red, gray } = world.network;
  const endMs = performance.now() + SECONDS * 1000;
  let cuts = 0;
  while (performance.now() + CUT_EVERY_MS < endMs) {
    await sleep(CUT_EVERY_MS);
    const side = randomInt(2) === 0 ? red : gray;
    const [killed] = await Promise.all([
      killFlows(side, ROUTY_PORT),
      killFlows(side, ssh.serverPort),
    ]);
    if (killed > 0) cuts += 1;
  }
  return cuts;
}

function describe({ transactions, errors, runs, latencyMs }: PgbenchResult): string {
  const first = errors.length === 0 ? '' : `, the first: ${errors[0]}`;
  return `${transactions} transactions, ${errors.length} errors in ${runs} runs, ${latencyMs} ms on average${first}`;
}
