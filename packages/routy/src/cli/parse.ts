import {
  formatAddress,
  isName,
  parseAddress,
  parseTcpAddress,
  type TcpAddress,
} from '@routy/proto/base';
import { InvalidArgumentError } from 'commander';

/*
 * Readers of single option values. Each throws commander's InvalidArgumentError, which ends the
 * command with exit code 2 and names the option.
 */

/** A site, node, service or fabric. */
export function readName(text: string): string {
  if (isName(text)) return text;
  throw new InvalidArgumentError('a name is 1 to 63 of a-z, 0-9 and "-", as in "red1".');
}

/** `host:port` or `[v6]:port`. */
export function readTcp(text: string): TcpAddress {
  const address = parseTcpAddress(text);
  if (address !== undefined) return address;
  throw new InvalidArgumentError(
    'an address is HOST:PORT, as in "gray.example:7443" or "[::]:7443".',
  );
}

/** `--name=value` may be given several times. */
export function collect<T>(read: (text: string) => T): (text: string, before?: T[]) => T[] {
  return (text, before = []) => [...before, read(text)];
}

export interface ServiceOption {
  readonly name: string;
  readonly target: string;
}

/** `NAME=TARGET`. */
export function readService(text: string): ServiceOption {
  const at = text.indexOf('=');
  if (at < 0) {
    throw new InvalidArgumentError('a service is NAME=TARGET, as in "postgres=127.0.0.1:5432".');
  }
  return { name: readName(text.slice(0, at)), target: readAddress(text.slice(at + 1)) };
}

export interface ForwardOption {
  readonly listen: string;
  readonly to: string;
}

/** `LISTEN=SITE/SERVICE`; a unix path may hold `=`, a service not. */
export function readForward(text: string): ForwardOption {
  const at = text.lastIndexOf('=');
  if (at < 0) {
    throw new InvalidArgumentError(
      'a forward is LISTEN=SITE/SERVICE, as in "127.0.0.1:6432=gray/postgres".',
    );
  }
  return { listen: readAddress(text.slice(0, at)), to: readDestination(text.slice(at + 1)) };
}

/** `host:port` or `unix:/path`, as it stands in the file. */
export function readAddress(text: string): string {
  const address = parseAddress(text);
  if (address !== undefined) return formatAddress(address);
  throw new InvalidArgumentError(
    'an address is HOST:PORT or unix:/PATH, as in "127.0.0.1:5432" or "unix:/run/db.sock".',
  );
}

/** `SITE/SERVICE`. */
export function readDestination(text: string): string {
  const parts = text.split('/');
  if (parts.length === 2 && parts.every(isName)) return text;
  throw new InvalidArgumentError('a destination is SITE/SERVICE, as in "gray/postgres".');
}

/** `SITE` or `SITE/NODE`. */
export function readPeer(text: string): string {
  const parts = text.split('/');
  if (parts.length <= 2 && parts.every(isName)) return text;
  throw new InvalidArgumentError('give SITE or SITE/NODE, as in "gray" or "gray/gray1".');
}

/** A whole number from 1 to `max`. */
export function readCount(max: number): (text: string) => number {
  return (text) => {
    const count = Number(text);
    if (/^\d+$/.test(text) && count >= 1 && count <= max) return count;
    throw new InvalidArgumentError(`give a whole number from 1 to ${max}.`);
  };
}
