import { isIPv4, isIPv6 } from 'node:net';

/**
 * The PROXY protocol header that tells a target where a client really came from, versions 1 and 2,
 * as in haproxy's `proxy-protocol.txt`. A source that is not known (a unix socket) or not usable is
 * sent as `UNKNOWN` (v1) or `LOCAL` (v2), which tell the target to use the connection's own address.
 */
export interface ProxyEndpoint {
  /** An IPv4 or IPv6 literal. */
  readonly address: string;
  /** 0..65535. */
  readonly port: number;
}

type Family = 'v4' | 'v6';

interface ProxyPair {
  readonly family: Family;
  readonly source: ProxyEndpoint;
  readonly destination: ProxyEndpoint;
}

const V2_SIGNATURE = [0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a];
const V2_LOCAL = 0x20;
const V2_PROXY = 0x21;
const V2_TCP4 = 0x11;
const V2_TCP6 = 0x21;
const V2_HEAD_BYTES = 16;

/** The header of one version, to be written to the target before anything else. */
export function proxyHeader(
  version: 'v1' | 'v2',
  source: ProxyEndpoint | undefined,
  destination: ProxyEndpoint | undefined,
): Uint8Array {
  const pair = usablePair(source, destination);
  return version === 'v1' ? headerV1(pair) : headerV2(pair);
}

function headerV1(pair: ProxyPair | undefined): Uint8Array {
  return new TextEncoder().encode(lineV1(pair));
}

function lineV1(pair: ProxyPair | undefined): string {
  if (pair === undefined) return 'PROXY UNKNOWN\r\n';
  const { family, source, destination } = pair;
  const name = family === 'v4' ? 'TCP4' : 'TCP6';
  return `PROXY ${name} ${source.address} ${destination.address} ${source.port} ${destination.port}\r\n`;
}

function headerV2(pair: ProxyPair | undefined): Uint8Array {
  if (pair === undefined) return Uint8Array.from([...V2_SIGNATURE, V2_LOCAL, 0, 0, 0]);
  const toBytes = pair.family === 'v4' ? bytesOfV4 : bytesOfV6;
  const body = [
    ...toBytes(pair.source.address),
    ...toBytes(pair.destination.address),
    ...bytesOfU16(pair.source.port),
    ...bytesOfU16(pair.destination.port),
  ];
  const header = new Uint8Array(V2_HEAD_BYTES + body.length);
  header.set(V2_SIGNATURE);
  header.set([V2_PROXY, pair.family === 'v4' ? V2_TCP4 : V2_TCP6, 0, body.length], 12);
  header.set(body, V2_HEAD_BYTES);
  return header;
}

/** The addresses come from another node: what is not a literal of one family for both is unknown. */
function usablePair(
  source: ProxyEndpoint | undefined,
  destination: ProxyEndpoint | undefined,
): ProxyPair | undefined {
  if (source === undefined || destination === undefined) return undefined;
  if (!isPort(source.port) || !isPort(destination.port)) return undefined;
  const from = { address: plainAddress(source.address), port: source.port };
  const to = { address: plainAddress(destination.address), port: destination.port };
  const family = familyOf(from.address);
  if (family === undefined || family !== familyOf(to.address)) return undefined;
  return { family, source: from, destination: to };
}

function isPort(port: number): boolean {
  return Number.isInteger(port) && port >= 0 && port <= 65535;
}

/** Without a zone, and an IPv4 address mapped into IPv6 (`::ffff:10.0.0.1`) as IPv4. */
function plainAddress(address: string): string {
  const plain = address.split('%', 1)[0]!;
  const mapped = /^::ffff:([\d.]+)$/i.exec(plain)?.[1];
  return mapped !== undefined && isIPv4(mapped) ? mapped : plain;
}

function familyOf(address: string): Family | undefined {
  if (isIPv4(address)) return 'v4';
  return isIPv6(address) ? 'v6' : undefined;
}

function bytesOfU16(value: number): number[] {
  return [value >> 8, value & 0xff];
}

function bytesOfV4(address: string): number[] {
  return address.split('.').map(Number);
}

/** RFC 4291 section 2.2: eight groups, one run of zeros as `::`, the last two groups may be IPv4. */
function bytesOfV6(address: string): number[] {
  const [head, tail] = address.split('::');
  const left = bytesOfGroups(head!);
  if (tail === undefined) return left;
  const right = bytesOfGroups(tail);
  return [...left, ...new Array<number>(16 - left.length - right.length).fill(0), ...right];
}

function bytesOfGroups(text: string): number[] {
  if (text === '') return [];
  return text
    .split(':')
    .flatMap((group) =>
      group.includes('.') ? bytesOfV4(group) : bytesOfU16(Number.parseInt(group, 16)),
    );
}
