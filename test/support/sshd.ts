import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Daemon, runOk, until } from './process.ts';

/** An OpenSSH server of its own on a private port, and how to log in to it. */
export interface Sshd {
  readonly port: number;
  readonly daemon: Daemon;
  /** Arguments of `ssh` up to and including the host: key, port, no questions. */
  readonly clientArgs: readonly string[];
  stop(): Promise<void>;
}

/**
 * Starts sshd on 127.0.0.1:`port` with fresh keys under `directory`, for the user who runs this.
 * Only key login, only the `aes128-gcm@openssh.com` cipher. Ready when it returns.
 */
export async function startSshd(directory: string, port: number): Promise<Sshd> {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  // sshd insists on this directory of its package, which the service's start makes.
  mkdirSync('/run/sshd', { recursive: true });
  const hostKey = join(directory, 'host_key');
  const userKey = join(directory, 'user_key');
  for (const key of [hostKey, userKey]) {
    await runOk('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', key]);
  }
  const settings = join(directory, 'sshd_config');
  const authorized = join(directory, 'authorized_keys');
  writeFileSync(authorized, readFileSync(`${userKey}.pub`), { mode: 0o600 });
  writeFileSync(settings, settingsText({ port, hostKey, authorized, directory }));
  const daemon = new Daemon('sshd', '/usr/sbin/sshd', ['-D', '-e', '-f', settings], {
    logFile: join(directory, 'sshd.log'),
  });
  const clientArgs = [
    ...['-F', 'none', '-i', userKey, '-p', String(port), '-c', 'aes128-gcm@openssh.com'],
    ...['-o', 'StrictHostKeyChecking=no', '-o', `UserKnownHostsFile=${directory}/known_hosts`],
    ...['-o', 'BatchMode=yes', '-o', 'IdentitiesOnly=yes', '-o', 'ExitOnForwardFailure=yes'],
    ...['-o', 'LogLevel=ERROR', '127.0.0.1'],
  ];
  await until('sshd lets us in', async () => (await runOk('ssh', [...clientArgs, 'true'])) === '');
  return { port, daemon, clientArgs, stop: async () => void (await daemon.stop()) };
}

function settingsText(paths: {
  port: number;
  hostKey: string;
  authorized: string;
  directory: string;
}): string {
  return `Port ${paths.port}
ListenAddress 127.0.0.1
HostKey ${paths.hostKey}
PidFile ${paths.directory}/sshd.pid
AuthorizedKeysFile ${paths.authorized}
PermitRootLogin prohibit-password
PasswordAuthentication no
UsePAM no
StrictModes no
AllowTcpForwarding yes
Ciphers aes128-gcm@openssh.com
MaxStartups 100
`;
}
