import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { findProgram } from '../../../bench/processes.ts';
import { AUTOSSH_AT_ONCE, clientOptions, writeServerFiles } from '../../../bench/tunnels/ssh.ts';
import {
  canConnect,
  inside,
  type Namespace,
  type Network,
} from '../../support/namespaces/namespaces.ts';
import { Daemon, until } from '../../support/process.ts';

/** What people use today: `ssh -R` from red to an sshd in gray, kept up by autossh. */
export interface SshTunnel {
  /** Where sshd listens in gray. */
  readonly serverPort: number;
  stop(): Promise<void>;
}

export interface SshTunnelOptions {
  /** Port of 127.0.0.1 in gray that leads … */
  readonly forwardPort: number;
  /** … to this port of 127.0.0.1 in red. */
  readonly targetPort: number;
}

const SERVER_PORT = 2222;

/** Starts both ends; a connection to the forward can be made when this resolves. */
export async function startSshTunnel(
  network: Network,
  directory: string,
  options: SshTunnelOptions,
): Promise<SshTunnel> {
  const { red, gray } = network;
  const place = join(directory, 'ssh');
  mkdirSync(place);
  const server = { host: gray.ipv4, port: SERVER_PORT };
  const config = await writeServerFiles(place, server, server);
  const sshd = daemon(gray, directory, 'sshd', ['-D', '-e', '-f', config]);
  await until('sshd listens', () => canConnect(red, server.host, server.port));
  const forward = `127.0.0.1:${options.forwardPort}:127.0.0.1:${options.targetPort}`;
  const autossh = daemon(red, directory, 'autossh', [
    ...['-M', '0', ...clientOptions(place, server), ...keepAlive(), '-R', forward, server.host],
  ]);
  await until('the ssh forward listens', () => canConnect(gray, '127.0.0.1', options.forwardPort));
  const stop = async (): Promise<void> => {
    await autossh.stop();
    await sshd.stop();
  };
  return { serverPort: SERVER_PORT, stop };
}

/** A dead connection is noticed as soon as ssh can: after three seconds. */
function keepAlive(): string[] {
  return ['-o', 'ServerAliveInterval=1', '-o', 'ServerAliveCountMax=3'];
}

function daemon(
  namespace: Namespace,
  directory: string,
  program: string,
  args: readonly string[],
): Daemon {
  const path = findProgram(program);
  if (path === null) throw new Error(`${program} is not installed`);
  const start = inside(namespace, path, args);
  return new Daemon(program, start.command, start.args, {
    logFile: join(directory, `${program}.log`),
    env: AUTOSSH_AT_ONCE,
  });
}
