import { readFileSync } from 'node:fs';

/** `tr` of an idle connection, once the system is to ask whether the other end is there. */
export const KEEPALIVE_TIMER = '02';

/** `tr` of the established connection from the one port to the other, of /proc/net/tcp (IPv4). */
export function timerOf(localPort: number, remotePort: number): string | undefined {
  const port = (number: number) => number.toString(16).toUpperCase().padStart(4, '0');
  const row = new RegExp(
    `^ *\\d+: [0-9A-F]+:${port(localPort)} [0-9A-F]+:${port(remotePort)} 01 \\S+ (\\d\\d):`,
    'm',
  );
  return row.exec(readFileSync('/proc/net/tcp', 'utf8'))?.[1];
}
