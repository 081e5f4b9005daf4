import { isIPv4, isIPv6, SocketAddress } from 'node:net';
import { networkInterfaces } from 'node:os';
import { AF_INET, AF_INET6, AF_UNIX } from './constants.ts';

/** Where a socket is bound or connected. `host` is an IP address, an IPv6 one perhaps with `%zone`. */
export type SocketPlace =
  | { readonly host: string; readonly port: number }
  | { readonly path: string };

/** `struct sockaddr_storage`. */
export const ADDRESS_BYTES_MAX = 128;

const IPV4_BYTES = 16;
const IPV6_BYTES = 28;
const FAMILY_BYTES = 2;
/** `sun_path`, with the zero at its end. */
const PATH_BYTES_MAX = 108;

/**
 * The address as the kernel takes it.
 *
 * @throws Error when `host` is not an IP address, or `path` is too long for the system
 */
export function encodeAddress(place: SocketPlace): Uint8Array {
  if ('path' in place) return encodePath(place.path);
  if (isIPv4(place.host)) return encodeIPv4(place.host, place.port);
  if (isIPv6(place.host)) return encodeIPv6(place.host, place.port);
  throw invalid(`${place.host} is not an IP address`);
}

/** What the kernel says of a socket; undefined for one without an address, as an unbound unix socket. */
export function decodeAddress(bytes: Uint8Array): SocketPlace | undefined {
  if (bytes.length < FAMILY_BYTES) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const family = view.getUint16(0, true);
  if (family === AF_INET) return { host: bytes.subarray(4, 8).join('.'), port: view.getUint16(2) };
  if (family === AF_INET6) return { host: ipv6Text(view), port: view.getUint16(2) };
  if (family !== AF_UNIX || bytes.length === FAMILY_BYTES) return undefined;
  const end = bytes.indexOf(0, FAMILY_BYTES + 1);
  const path = bytes.subarray(FAMILY_BYTES, end === -1 ? bytes.length : end);
  return { path: new TextDecoder().decode(path) };
}

/** For messages. */
export function placeText(place: SocketPlace): string {
  if ('path' in place) return place.path;
  return place.host.includes(':') ? `[${place.host}]:${place.port}` : `${place.host}:${place.port}`;
}

export function familyOf(address: Uint8Array): number {
  return address[0]! | (address[1]! << 8);
}

function encodeIPv4(host: string, port: number): Uint8Array {
  const { bytes, view } = blank(IPV4_BYTES, AF_INET);
  view.setUint16(2, port);
  bytes.set(host.split('.').map(Number), 4);
  return bytes;
}

function encodeIPv6(host: string, port: number): Uint8Array {
  const { bytes, view } = blank(IPV6_BYTES, AF_INET6);
  const [address, zone] = host.split('%') as [string, string?];
  view.setUint16(2, port);
  groupsOf(address).forEach((group, n) => {
    view.setUint16(8 + 2 * n, group);
  });
  // In the byte order of the machine, unlike what comes before it.
  if (zone !== undefined) view.setUint32(24, scopeOf(zone), true);
  return bytes;
}

function encodePath(path: string): Uint8Array {
  const text = new TextEncoder().encode(path);
  if (text.length === 0 || text.length >= PATH_BYTES_MAX) {
    throw invalid(`a unix socket's path has 1 to ${PATH_BYTES_MAX - 1} bytes: ${path}`);
  }
  const { bytes } = blank(FAMILY_BYTES + text.length + 1, AF_UNIX);
  bytes.set(text, FAMILY_BYTES);
  return bytes;
}

function blank(length: number, family: number): { bytes: Uint8Array; view: DataView } {
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, family, true);
  return { bytes, view };
}

/** The eight groups of an address in any of the forms of RFC 4291 §2.2. */
function groupsOf(address: string): number[] {
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(address);
  if (dotted !== null) {
    const [a, b, c, d] = dotted.slice(2).map(Number) as [number, number, number, number];
    return groupsOf(`${dotted[1]}${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`);
  }
  const [head, tail] = address.split('::') as [string, string?];
  const parse = (part: string) => (part === '' ? [] : part.split(':').map((g) => parseInt(g, 16)));
  const before = parse(head);
  const after = tail === undefined ? [] : parse(tail);
  return [...before, ...new Array<number>(8 - before.length - after.length).fill(0), ...after];
}

function ipv6Text(view: DataView): string {
  const groups = Array.from({ length: 8 }, (_, n) => view.getUint16(8 + 2 * n).toString(16));
  const { address } = new SocketAddress({ address: groups.join(':'), family: 'ipv6' });
  const scope = view.getUint32(24, true);
  return scope === 0 ? address : `${address}%${zoneOf(scope)}`;
}

/** The number of an interface, by which the kernel knows it. */
function scopeOf(zone: string): number {
  if (/^\d+$/.test(zone)) return Number(zone);
  const known = networkInterfaces()[zone]?.find(({ scopeid }) => scopeid);
  if (!known?.scopeid) throw invalid(`no interface ${zone} has a link-local IPv6 address`);
  return known.scopeid;
}

function zoneOf(scope: number): string {
  for (const [name, addresses] of Object.entries(networkInterfaces())) {
    if (addresses?.some(({ scopeid }) => scopeid === scope)) return name;
  }
  return String(scope);
}

function invalid(message: string): Error {
  return Object.assign(new Error(message), { code: 'EINVAL' });
}
