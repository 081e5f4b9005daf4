import assert from 'node:assert/strict';
import { type MariaDb, startMariaDb } from './mariadb.ts';
import { assertBlocked } from '../../support/namespaces/namespaces.ts';
import { until } from '../../support/process.ts';
import { startPair } from '../pair.ts';
import { systemTest } from '../world.ts';

const FORWARD_PORT = 3307;
const ROWS = 50_000;

systemTest('MariaDB in gray replicates from red', { timeoutMs: 180_000 }, async (world) => {
  const { network, directory } = world;
  const [primary, replica] = await Promise.all([
    startMariaDb(network.red, directory, 'mariadb-red', { serverId: 1 }),
    startMariaDb(network.gray, directory, 'mariadb-gray', { serverId: 2 }),
  ]);
  world.defer(primary.stop);
  world.defer(replica.stop);
  await world.step('the firewall keeps gray from red', () => assertBlocked(network, primary.port));
  const pair = await startPair(world, {
    red: { services: { mariadb: `127.0.0.1:${primary.port}` } },
    gray: { forwards: { [`127.0.0.1:${FORWARD_PORT}`]: 'red/mariadb' } },
  });

  await world.step('replication follows', async () => {
    await primary.sql(`
      create user 'replica'@'%' identified by 'secret';
      grant replication slave on *.* to 'replica'@'%';
      create database shop;
      create table shop.orders (id bigint primary key, name varchar(64) not null);`);
    await insertRows(primary, 1, ROWS);
    await replica.sql(`
      change master to master_host = '127.0.0.1', master_port = ${FORWARD_PORT},
        master_user = 'replica', master_password = 'secret', master_use_gtid = slave_pos,
        master_connect_retry = 1, master_heartbeat_period = 2;
      start slave;`);
    await assertSame(primary, replica, 60_000);
  });
  let rows = ROWS;
  const more = async (restart: () => Promise<void>): Promise<void> => {
    // Half of the rows are made while the tunnel is down or coming back.
    await Promise.all([restart(), insertRows(primary, rows + 1, rows + 5_000)]);
    await insertRows(primary, rows + 5_001, rows + 10_000);
    rows += 10_000;
    await assertSame(primary, replica, 45_000);
  };
  await world.step('it survives a restart of the Routy in red', () =>
    more(() => pair.restart('red', 'stop')),
  );
  await world.step('it survives the Routy in gray being killed', () =>
    more(() => pair.restart('gray', 'kill')),
  );
  assert.equal((await replica.sql('select count(*) from shop.orders')).trim(), String(rows));
});

async function insertRows(primary: MariaDb, from: number, to: number): Promise<void> {
  for (let first = from; first <= to; first += 5_000) {
    const last = Math.min(first + 4_999, to);
    await primary.sql(
      `use shop; insert into orders select seq, md5(seq) from seq_${first}_to_${last};`,
    );
  }
}

/** Waits until the replica has executed everything, then compares the tables' checksums. */
async function assertSame(primary: MariaDb, replica: MariaDb, deadlineMs: number): Promise<void> {
  const position = (await primary.sql('select @@gtid_binlog_pos')).trim();
  assert.notEqual(position, '');
  await until(
    'the replica is up to date',
    async () => (await replica.sql('select @@gtid_slave_pos')).trim() === position,
    { deadlineMs, intervalMs: 250 },
  );
  const checksum = 'checksum table shop.orders extended';
  assert.equal(await replica.sql(checksum), await primary.sql(checksum));
}
