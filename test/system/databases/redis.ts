import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { inside, type Namespace } from '../../support/namespaces/namespaces.ts';
import { Daemon, runOk, until } from '../../support/process.ts';

/** A Redis server of its own inside a namespace. */
export interface Redis {
  readonly port: number;
  readonly daemon: Daemon;
  /** Runs one command through its unix socket; gives the reply as redis-cli prints it. */
  command(...words: string[]): Promise<string>;
  stop(): Promise<void>;
}

/** Starts an empty Redis with its files under `directory`/`name`; ready when it returns. */
export async function startRedis(
  namespace: Namespace,
  directory: string,
  name: string,
  port = 6379,
): Promise<Redis> {
  const home = join(directory, name);
  mkdirSync(home);
  const socket = join(home, 'redis.sock');
  const start = inside(namespace, 'redis-server', [
    ...['--port', String(port), '--bind', '*', '-::*', '--protected-mode', 'no'],
    ...['--dir', home, '--unixsocket', socket, '--save', '', '--appendonly', 'no'],
    // DEBUG POPULATE makes the data set, DEBUG DIGEST compares it.
    ...['--enable-debug-command', 'yes'],
    // A lost connection is noticed in seconds instead of a minute.
    ...['--repl-timeout', '10', '--repl-ping-replica-period', '1'],
  ]);
  const daemon = new Daemon(name, start.command, start.args, {
    logFile: join(directory, `${name}.log`),
    cwd: home,
  });
  const command = async (...words: string[]): Promise<string> =>
    (await runOk('redis-cli', ['-e', '-s', socket, ...words])).trim();
  await until(`${name} answers`, async () => (await command('PING')) === 'PONG');
  return { port, daemon, command, stop: async () => void (await daemon.stop()) };
}
