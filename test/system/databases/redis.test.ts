import assert from 'node:assert/strict';
import { assertBlocked } from '../../support/namespaces/namespaces.ts';
import { until } from '../../support/process.ts';
import { type Redis, startRedis } from './redis.ts';
import { startPair } from '../pair.ts';
import { systemTest } from '../world.ts';

const FORWARD_PORT = 6380;
/** 200,000 values of 1,000 bytes: 200 MB before keys and overhead. */
const KEYS = 200_000;
const VALUE_BYTES = 1_000;

systemTest('Redis in gray replicates from red', { timeoutMs: 180_000 }, async (world) => {
  const { network, directory } = world;
  const master = await startRedis(network.red, directory, 'redis-red');
  world.defer(master.stop);
  const replica = await startRedis(network.gray, directory, 'redis-gray');
  world.defer(replica.stop);
  await world.step('the firewall keeps gray from red', () => assertBlocked(network, master.port));
  const pair = await startPair(world, {
    red: { services: { redis: `127.0.0.1:${master.port}` } },
    gray: { forwards: { [`127.0.0.1:${FORWARD_PORT}`]: 'red/redis' } },
  });

  await world.step('a data set of 200 MB arrives whole', async () => {
    await master.command('DEBUG', 'POPULATE', String(KEYS), 'key', String(VALUE_BYTES));
    const startMs = performance.now();
    await replica.command('REPLICAOF', '127.0.0.1', String(FORWARD_PORT));
    await assertSame(master, replica, 60_000);
    world.note(`synchronised in ${Math.round(performance.now() - startMs)} ms`);
    assert.equal(await replica.command('DBSIZE'), String(KEYS));
  });
  await world.step('it survives the Routy in red being killed', async () => {
    await Promise.all([pair.restart('red', 'kill'), write(master, 'one during')]);
    await write(master, 'one after');
    await assertSame(master, replica, 45_000);
  });
  await world.step('it survives a restart of the Routy in gray', async () => {
    await Promise.all([pair.restart('gray', 'stop'), write(master, 'two during')]);
    await write(master, 'two after');
    await assertSame(master, replica, 45_000);
  });
});

async function write(master: Redis, tag: string): Promise<void> {
  for (let n = 0; n < 20; n += 1) await master.command('SET', `${tag}-${n}`, `${tag} ${n}`);
}

/** Waits until the replica follows and every key and value is equal. */
async function assertSame(master: Redis, replica: Redis, deadlineMs: number): Promise<void> {
  const digest = await master.command('DEBUG', 'DIGEST');
  await until(
    'the replica is up to date',
    async () => {
      const follows = (await replica.command('INFO', 'replication')).includes(
        'master_link_status:up',
      );
      return follows && (await replica.command('DEBUG', 'DIGEST')) === digest;
    },
    { deadlineMs, intervalMs: 250 },
  );
}
