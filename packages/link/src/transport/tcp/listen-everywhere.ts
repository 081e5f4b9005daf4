import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import type { TcpAddress } from '@routy/proto/base';
import { systemCode } from '../failures.ts';

/** Both loopback addresses, whatever the name server or /etc/hosts know of (RFC 6761 §6.3). */
const LOCALHOST = ['127.0.0.1', '::1'];

/** This machine does not have the address, or not its family. */
const ABSENT: ReadonlySet<string | undefined> = new Set(['EADDRNOTAVAIL', 'EAFNOSUPPORT']);

/** How often the system may choose a port that is free at one address of a name only. */
const PORT_CHOICES = 5;

/** One kind of listening sockets. */
export interface Listening {
  /** Listens at one IP address; resolves to the port, which the system chose for port 0. */
  listen(where: { readonly host: string; readonly port: number }): number | Promise<number>;
  /** Closes all that listen so far. */
  closeAll(): void;
}

/**
 * Listens at every address of a host, at the same port: at a literal, or for a name at each of its
 * addresses that this machine has. When one cannot be had, none is left open. Returns the port.
 *
 * @throws the system's error
 */
export async function listenEverywhere(
  { host, port }: Pick<TcpAddress, 'host' | 'port'>,
  listening: Listening,
): Promise<number> {
  const hosts = await addressesOf(host);
  for (let choice = 1; ; choice++) {
    try {
      return await listenAtEach(hosts, port, listening);
    } catch (error) {
      listening.closeAll();
      if (port !== 0 || systemCode(error) !== 'EADDRINUSE' || choice === PORT_CHOICES) throw error;
    }
  }
}

async function listenAtEach(
  hosts: readonly string[],
  port: number,
  listening: Listening,
): Promise<number> {
  let chosen = port;
  let listens = false;
  let absent: unknown;
  for (const host of hosts) {
    try {
      chosen = await listening.listen({ host, port: chosen });
      listens = true;
    } catch (error) {
      // Of a name it may be another machine's address, or of a family that is switched off here.
      if (!ABSENT.has(systemCode(error))) throw error;
      absent ??= error;
    }
  }
  if (!listens && absent !== undefined) throw absent;
  return chosen;
}

async function addressesOf(host: string): Promise<readonly string[]> {
  if (isIP(host) !== 0) return [host];
  if (host.toLowerCase() === 'localhost') return LOCALHOST;
  const found = await lookup(host, { all: true, verbatim: true });
  return [...new Set(found.map(({ address }) => address))];
}
