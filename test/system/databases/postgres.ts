import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { inside, type Namespace } from '../../support/namespaces/namespaces.ts';
import { Daemon, runOk, until } from '../../support/process.ts';

const BIN = process.env.POSTGRES_BIN ?? '/usr/lib/postgresql/15/bin';
/** PostgreSQL refuses to run as root; Debian's package made this user. */
const AS_POSTGRES = ['--reuid', 'postgres', '--regid', 'postgres', '--init-groups'];

const SETTINGS = `
listen_addresses = '*'
timezone = 'UTC'
wal_level = logical
max_wal_senders = 20
max_replication_slots = 20
shared_buffers = 64MB
fsync = off
# A lost connection is noticed, and tried again, in seconds instead of a minute.
wal_receiver_timeout = 10s
wal_sender_timeout = 10s
wal_retrieve_retry_interval = 500ms
`;

/** A PostgreSQL server of its own, in a directory of its own, inside a namespace. */
export interface Postgres {
  readonly port: number;
  readonly daemon: Daemon;
  /** Runs one statement on a connection over the unix socket; gives its rows. */
  query<Row extends object = Record<string, unknown>>(sql: string): Promise<Row[]>;
  stop(): Promise<void>;
}

/** Makes a cluster under `directory`/`name` and starts it; ready to be queried when it returns. */
export async function startPostgres(
  namespace: Namespace,
  directory: string,
  name: string,
  port = 5432,
): Promise<Postgres> {
  const home = join(directory, name);
  const data = join(home, 'data');
  mkdirSync(home);
  await runOk('chown', ['postgres:postgres', home]);
  await runOk(
    'setpriv',
    [...AS_POSTGRES, `${BIN}/initdb`, '-D', data, '-U', 'postgres', '-A', 'trust', '--no-sync'],
    { cwd: home },
  );
  writeFileSync(join(data, 'pg_hba.conf'), 'local all all trust\nhost all all all trust\n');
  writeFileSync(
    join(data, 'postgresql.conf'),
    `${SETTINGS}port = ${port}\nunix_socket_directories = '${home}'\n`,
  );
  const start = inside(namespace, 'setpriv', [...AS_POSTGRES, `${BIN}/postgres`, '-D', data]);
  const daemon = new Daemon(name, start.command, start.args, {
    logFile: join(directory, `${name}.log`),
    cwd: home,
  });
  const query = <Row extends object>(sql: string): Promise<Row[]> => queryOnce(home, port, sql);
  await until(`${name} answers`, async () => (await query('select 1')).length === 1);
  return {
    port,
    daemon,
    query,
    // An immediate shutdown: a fast one waits for its subscribers to have read everything.
    stop: async () => void (await daemon.stop('SIGQUIT')),
  };
}

async function queryOnce<Row extends object>(
  socketDirectory: string,
  port: number,
  sql: string,
): Promise<Row[]> {
  const client = new pg.Client({
    host: socketDirectory,
    port,
    user: 'postgres',
    database: 'postgres',
    connectionTimeoutMillis: 5_000,
  });
  // The server may be stopped while a poll is under way: the query's own rejection says so.
  client.on('error', () => {});
  await client.connect();
  try {
    return (await client.query(sql)).rows as Row[];
  } finally {
    await client.end();
  }
}
