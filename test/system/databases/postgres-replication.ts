import assert from 'node:assert/strict';
import type { Postgres } from './postgres.ts';
import { until } from '../../support/process.ts';

/** One direction of logical replication: `origin` publishes a table that `copy` subscribes to. */
export interface Flow {
  readonly table: string;
  readonly origin: Postgres;
  readonly copy: Postgres;
  /** Where the copy's server finds the origin's. */
  readonly host: string;
  readonly port: number;
}

/** Makes the table on both servers and publishes it, without rows. */
export async function publish(flow: Flow): Promise<void> {
  for (const server of [flow.origin, flow.copy]) {
    await server.query(
      `create table ${flow.table} (id bigint primary key, name text not null, made timestamptz not null)`,
    );
  }
  await flow.origin.query(`create publication ${flow.table} for table ${flow.table}`);
}

/**
 * Subscribes the copy to the origin. Two of these across the same pair of servers must not run at
 * once: each holds a transaction open that the other's slot waits for.
 */
export async function subscribe(flow: Flow): Promise<void> {
  const where = `host=${flow.host} port=${flow.port} user=postgres dbname=postgres`;
  await flow.copy.query(
    `create subscription ${flow.table} connection '${where} connect_timeout=10' publication ${flow.table}`,
  );
}

/** Inserts rows `from`..`to` at the origin in transactions of 5,000. */
export async function insertRows(flow: Flow, from: number, to: number): Promise<void> {
  for (let first = from; first <= to; first += 5_000) {
    const last = Math.min(first + 4_999, to);
    await flow.origin.query(
      `insert into ${flow.table} select n, md5(n::text || '${flow.table}'), now() from generate_series(${first}, ${last}) n`,
    );
  }
}

/** Waits until the copy has as many rows as the origin, then compares every byte of them. */
export async function assertEqual(flow: Flow, rows: number, deadlineMs: number): Promise<void> {
  await until(
    `${rows} rows of ${flow.table} at its copy`,
    async () => {
      const [result] = await flow.copy.query<{ n: string }>(`select count(*) n from ${flow.table}`);
      return Number(result!.n) === rows;
    },
    { deadlineMs, intervalMs: 200 },
  );
  assert.deepEqual(await checksum(flow.copy, flow.table), await checksum(flow.origin, flow.table));
}

async function checksum(
  server: Postgres,
  table: string,
): Promise<{ rows: string; checksum: string }> {
  const [result] = await server.query<{ rows: string; checksum: string }>(
    `select count(*) as rows, md5(string_agg(t::text, ',' order by id)) as checksum from ${table} t`,
  );
  return result!;
}
