import { isIP } from 'node:net';
import { isName, parseDuration, parseTcpAddress } from '@routy/proto/base';
import { readName } from './fields.ts';

/** Name or number of a user or group. */
export const ACCOUNT = '^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$';

/** `http://[user:pass@]host:port` or `socks5://[user:pass@]host:port`, unchanged. */
export function readProxy(value: string): { value: string } | { error: string } {
  const match = /^(http|socks5):\/\/(?:[^@/\s]+@)?([^@/\s]+)\/?$/.exec(value);
  if (match !== null && parseTcpAddress(match[2]!) !== undefined) return { value };
  // The text may hold a password, so the message does not repeat it.
  return { error: 'expected a proxy such as "http://proxy.example:3128" or "socks5://host:1080"' };
}

export function readIp(value: string): { value: string } | { error: string } {
  return isIP(value) === 0 || value.includes('%')
    ? { error: `"${value}" is not an IP address such as "127.0.0.9"` }
    : { value };
}

export function readNetwork(value: string): { value: string } | { error: string } {
  const [address = '', bits, ...more] = value.split('/');
  const family = isIP(address);
  const most = family === 4 ? 32 : 128;
  const fits = bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= most);
  if (family !== 0 && !address.includes('%') && fits && more.length === 0) return { value };
  return {
    error: `"${value}" is neither an address such as "10.0.0.7" nor a network such as "10.0.0.0/8"`,
  };
}

export function readAccount(value: string): { value: string } | { error: string } {
  if (new RegExp(ACCOUNT).test(value)) return { value };
  return { error: `"${value}" is neither the name nor the number of an account` };
}

export function readMode(value: string): { value: number } | { error: string } {
  if (/^0?[0-7]{3}$/.test(value)) return { value: Number.parseInt(value, 8) };
  return { error: `"${value}" is not an octal mode such as "0660"` };
}

export function readAllowEntry(entry: string): { value: string } | { error: string } {
  if (entry === '*') return { error: '"*" is not possible: allow names each site or node' };
  const parts = entry.split('/');
  if (parts.length <= 2 && parts.every(isName)) return { value: entry };
  return {
    error: `"${entry}" is neither a site such as "gray" nor a node such as "gray/gray1"`,
  };
}

export function readServiceName(
  value: string,
): { value: { site: string; service: string } } | { error: string } {
  const parts = value.split('/');
  if (parts.length !== 2) {
    return { error: `"${value}" is not SITE/SERVICE; expected a service such as "gray/postgres"` };
  }
  for (const part of parts) {
    const checked = readName(part);
    if ('error' in checked) return checked;
  }
  return { value: { site: parts[0]!, service: parts[1]! } };
}

type Unavailable = { kind: 'refuse' } | { kind: 'hold'; ms: number };

export function readUnavailable(value: string): { value: Unavailable } | { error: string } {
  if (value === 'refuse') return { value: { kind: 'refuse' } };
  const time = /^hold\s+(\S.*)$/.exec(value)?.[1];
  if (time === undefined) return { error: `expected "refuse" or "hold 10s", got "${value}"` };
  const parsed = parseDuration(time);
  if ('error' in parsed) return parsed;
  if (parsed.value < 1 || parsed.value > 3_600_000) {
    return { error: `"${value}" is out of range: hold 1ms to 60m` };
  }
  return { value: { kind: 'hold', ms: parsed.value } };
}
