import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inside, type Namespace } from '../../support/namespaces/namespaces.ts';
import { Daemon, runOk, until } from '../../support/process.ts';

const AS_MYSQL = ['--reuid', 'mysql', '--regid', 'mysql', '--init-groups'];

/** A MariaDB server of its own inside a namespace. */
export interface MariaDb {
  readonly port: number;
  readonly daemon: Daemon;
  /** Runs statements as root through its unix socket; gives what `mariadb -NB` prints. */
  sql(statements: string): Promise<string>;
  stop(): Promise<void>;
}

/**
 * Makes a data directory under `directory`/`name` and starts a server that writes a binary log;
 * ready when it returns. `serverId` has to differ between servers that replicate.
 */
export async function startMariaDb(
  namespace: Namespace,
  directory: string,
  name: string,
  options: { serverId: number; port?: number },
): Promise<MariaDb> {
  const home = join(directory, name);
  const port = options.port ?? 3306;
  const socket = join(home, 'mariadb.sock');
  const settings = join(home, 'my.cnf');
  mkdirSync(join(home, 'tmp'), { recursive: true });
  writeFileSync(settings, settingsText(home, socket, port, options.serverId));
  await runOk('chown', ['-R', 'mysql:mysql', home]);
  await runOk('setpriv', [
    ...[...AS_MYSQL, 'mariadb-install-db', `--defaults-file=${settings}`],
    ...['--auth-root-authentication-method=normal', '--skip-test-db'],
  ]);
  const start = inside(namespace, 'setpriv', [
    ...[...AS_MYSQL, 'mariadbd', `--defaults-file=${settings}`],
  ]);
  const daemon = new Daemon(name, start.command, start.args, {
    logFile: join(directory, `${name}.log`),
    cwd: home,
  });
  const sql = (statements: string): Promise<string> =>
    runOk('mariadb', ['--no-defaults', '-u', 'root', `--socket=${socket}`, '-N', '-B'], {
      input: statements,
    });
  await until(`${name} answers`, async () => (await sql('select 1')).trim() === '1');
  return { port, daemon, sql, stop: async () => void (await daemon.stop('SIGTERM', 5_000)) };
}

function settingsText(home: string, socket: string, port: number, serverId: number): string {
  return `[mariadbd]
datadir = ${home}/data
# A starting server clears its directory for temporary tables, so no two may share one.
tmpdir = ${home}/tmp
socket = ${socket}
pid-file = ${home}/mariadbd.pid
port = ${port}
bind-address = *
server-id = ${serverId}
gtid-domain-id = ${serverId}
log-bin = ${home}/data/binlog
binlog-format = ROW
innodb-flush-log-at-trx-commit = 0
innodb-buffer-pool-size = 64M
skip-name-resolve
# A lost connection is noticed in seconds instead of a minute.
slave-net-timeout = 10
`;
}
