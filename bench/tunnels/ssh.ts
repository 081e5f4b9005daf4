import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { withDescendants } from '../measure.ts';
import { findProgram, freePort, runToEnd, start } from '../processes.ts';
import {
  type Detour,
  type Ports,
  type TcpAddress,
  type Tunnel,
  type TunnelKind,
  whenListening,
  whenReady,
} from './tunnel.ts';

const CIPHER = 'aes128-gcm@openssh.com';
/** sshd refuses to run as root without it; Debian makes it when the service starts. */
const PRIVILEGE_SEPARATION_DIR = '/run/sshd';

/** However short the last connection was; the pause after several is a fraction of the poll time. */
export const AUTOSSH_AT_ONCE = { AUTOSSH_GATETIME: '0', AUTOSSH_POLL: '1' } as const;

/** OpenSSH's `ssh -R`, with a server of our own on a private port. */
export const ssh: TunnelKind = {
  name: 'ssh',
  note: `ssh -R, ${CIPHER}`,
  missing() {
    for (const name of ['ssh', 'sshd', 'ssh-keygen']) {
      if (findProgram(name) === null)
        return `${name} not found; on Debian: apt-get install openssh-server openssh-client`;
    }
    return null;
  },
  start: startSsh,
};

async function startSsh(services: Ports, dir: string, detour?: Detour): Promise<Tunnel> {
  const serverPort = await freePort();
  const ports: Ports = { bulk: await freePort(), echo: await freePort() };
  const server = { host: '127.0.0.1', port: serverPort };
  const dialled = (await detour?.(server)) ?? server;
  const config = await writeServerFiles(dir, server, dialled);
  const sshd = start('sshd', findProgram('sshd')!, ['-D', '-e', '-f', config]);
  await whenListening(`127.0.0.1:${serverPort}`, sshd);
  const forwards = (['bulk', 'echo'] as const).flatMap((name) => [
    '-R',
    `127.0.0.1:${ports[name]}:127.0.0.1:${services[name]}`,
  ]);
  const args = [...clientOptions(dir, dialled), ...forwards, dialled.host];
  const client =
    detour === undefined ? start('ssh', findProgram('ssh')!, args) : startAutossh(args);
  const pids = () => ({ red: withDescendants(client.pid), gray: withDescendants(sshd.pid) });
  // The client first: sshd's process for the connection ends with it.
  return whenReady('ssh', ports, pids, [client, sshd]);
}

/** ssh that is started again, at once, whenever it ends; it notices a dead connection in 3 s. */
function startAutossh(args: readonly string[]) {
  const keepAlive = ['-o', 'ServerAliveInterval=1', '-o', 'ServerAliveCountMax=3'];
  const program = findProgram('autossh');
  if (program === null) throw new Error('autossh not found; on Debian: apt-get install autossh');
  return start('autossh', program, ['-M', '0', ...keepAlive, ...args], AUTOSSH_AT_ONCE);
}

/**
 * Writes keys and configuration of a server and its one client, which knows it by the address it
 * dials; gives sshd's configuration file.
 */
export async function writeServerFiles(
  dir: string,
  { host, port }: TcpAddress,
  dialled: TcpAddress,
): Promise<string> {
  if (process.getuid?.() === 0) mkdirSync(PRIVILEGE_SEPARATION_DIR, { recursive: true });
  const keygen = findProgram('ssh-keygen')!;
  for (const name of ['host_key', 'user_key'])
    await runToEnd('ssh-keygen', keygen, ['-q', '-t', 'ed25519', '-N', '', '-f', join(dir, name)]);
  writeFileSync(join(dir, 'authorized_keys'), readFileSync(join(dir, 'user_key.pub')));
  const hostKey = readFileSync(join(dir, 'host_key.pub'), 'utf8');
  writeFileSync(join(dir, 'known_hosts'), `[${dialled.host}]:${dialled.port} ${hostKey}`);
  const lines = [
    `Port ${port}`,
    `ListenAddress ${host}`,
    `HostKey ${join(dir, 'host_key')}`,
    `AuthorizedKeysFile ${join(dir, 'authorized_keys')}`,
    'PidFile none',
    'StrictModes no',
    'UsePAM no',
    'PasswordAuthentication no',
    'KbdInteractiveAuthentication no',
    'PermitRootLogin prohibit-password',
    'AllowTcpForwarding yes',
    `Ciphers ${CIPHER}`,
    'LogLevel ERROR',
  ];
  const config = join(dir, 'sshd_config');
  writeFileSync(config, `${lines.join('\n')}\n`);
  return config;
}

/** What an ssh client needs to come in; forwards and the host have to be added. */
export function clientOptions(dir: string, { port }: TcpAddress): string[] {
  const options = [
    'BatchMode=yes',
    'IdentitiesOnly=yes',
    'StrictHostKeyChecking=yes',
    `UserKnownHostsFile=${join(dir, 'known_hosts')}`,
    'ExitOnForwardFailure=yes',
    'Compression=no',
    `Ciphers=${CIPHER}`,
    'LogLevel=ERROR',
  ];
  return [
    ...['-N', '-T', '-F', '/dev/null', '-p', String(port), '-l', userInfo().username],
    ...['-i', join(dir, 'user_key')],
    ...options.flatMap((option) => ['-o', option]),
  ];
}
