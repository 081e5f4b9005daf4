import { type Address, formatAddress } from '../base/address.ts';
import type { KeyPath } from './document.ts';
import type { Draft } from './draft.ts';

/** One address this node would listen on, and the key that says so. */
export interface ListeningAddress {
  readonly path: KeyPath;
  readonly address: Address;
}

/** Every address the file makes the node listen on, in the order in which they are claimed. */
export function listeningAddresses(draft: Draft): ListeningAddress[] {
  const found: ListeningAddress[] = [];
  if (draft.listen) found.push({ path: ['listen', 'address'], address: draft.listen.address });
  for (const { path, value } of draft.forwards) {
    found.push({ path: [...path, 'listen'], address: value.listen });
  }
  const metrics = draft.admin?.metricsListen;
  if (metrics) found.push({ path: ['admin', 'metrics_listen'], address: metrics });
  return found;
}

/** Whether both cannot be listened on at once; port 0 takes any free port and never collides. */
export function addressesCollide(a: Address, b: Address): boolean {
  if (a.kind === 'unix' || b.kind === 'unix') return formatAddress(a) === formatAddress(b);
  if (a.port !== b.port || a.port === 0) return false;
  const [hostA, hostB] = [canonicalHost(a.host), canonicalHost(b.host)];
  return hostA === hostB || covers(hostA, hostB) || covers(hostB, hostA);
}

/** `::` also takes the IPv4 side, as Node listens on both families with it. */
function covers(wildcard: string, host: string): boolean {
  return wildcard === '::' || (wildcard === '0.0.0.0' && !host.includes(':'));
}

function canonicalHost(host: string): string {
  const lower = host.toLowerCase();
  if (lower === 'localhost') return '127.0.0.1';
  return lower.includes(':') ? canonicalIpv6(lower) : lower;
}

// The URL parser writes an IPv6 address in its one short form; a scoped one (%eth0) it refuses.
function canonicalIpv6(host: string): string {
  return URL.canParse(`tcp://[${host}]`) ? new URL(`tcp://[${host}]`).hostname.slice(1, -1) : host;
}
