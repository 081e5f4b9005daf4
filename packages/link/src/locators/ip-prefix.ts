import { isIP } from 'node:net';

/** The addresses that begin with the same bits; one address has a prefix of all of its bits. */
export interface IpPrefix {
  readonly family: 4 | 6;
  /** The bits, those after the prefix zero. */
  readonly bits: bigint;
  readonly length: number;
}

/** Bits of an address. */
export function widthOf(family: 4 | 6): number {
  return family === 4 ? 32 : 128;
}

/** An address or `address/length`; undefined when it is neither, or when bits after the prefix are set. */
export function parsePrefix(text: string): IpPrefix | undefined {
  const match = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(text);
  const address = match === null ? undefined : parseIp(match[1]!);
  if (address === undefined) return undefined;
  const width = widthOf(address.family);
  const length = Number(match![2] ?? width);
  if (length > width || prefixOf(address.bits, length, width) !== address.bits) return undefined;
  return { ...address, length };
}

/** The bits of an IP literal; undefined for what is none, or has a zone and so means a link. */
export function parseIp(
  text: string,
): { readonly family: 4 | 6; readonly bits: bigint } | undefined {
  switch (isIP(text)) {
    case 4:
      return { family: 4, bits: ipv4Bits(text) };
    case 6:
      return text.includes('%') ? undefined : { family: 6, bits: ipv6Bits(text) };
    default:
      return undefined;
  }
}

/** As an IP literal; IPv6 in its shortest form (RFC 5952). */
export function formatIp(family: 4 | 6, bits: bigint): string {
  if (family === 4) {
    return [24n, 16n, 8n, 0n].map((shift) => Number((bits >> shift) & 0xffn)).join('.');
  }
  const groups = Array.from({ length: 8 }, (_, index) =>
    Number((bits >> BigInt(112 - index * 16)) & 0xffffn).toString(16),
  );
  const text = groups.join(':');
  const runs = [...text.matchAll(/(?<![^:])0(?::0)+(?![^:])/g)];
  const [longest] = runs.sort(([a], [b]) => b.length - a.length);
  if (longest === undefined) return text;
  const before = text.slice(0, longest.index).replace(/:$/, '');
  const after = text.slice(longest.index + longest[0].length).replace(/^:/, '');
  return `${before}::${after}`;
}

/** The first `length` bits of an address, the others zero. */
export function prefixOf(bits: bigint, length: number, width: number): bigint {
  const rest = BigInt(width - length);
  return (bits >> rest) << rest;
}

/** Whether some address is in both. */
export function overlap(a: IpPrefix, b: IpPrefix): boolean {
  if (a.family !== b.family) return false;
  const shorter = Math.min(a.length, b.length);
  const width = widthOf(a.family);
  return prefixOf(a.bits, shorter, width) === prefixOf(b.bits, shorter, width);
}

function ipv4Bits(text: string): bigint {
  return text.split('.').reduce((bits, part) => (bits << 8n) | BigInt(part), 0n);
}

function ipv6Bits(text: string): bigint {
  const dotted = /[^:]+\.[^:]+$/.exec(text)?.[0];
  const low = dotted === undefined ? 0n : ipv4Bits(dotted);
  const plain =
    dotted === undefined
      ? text
      : `${text.slice(0, -dotted.length)}${(low >> 16n).toString(16)}:${(low & 0xffffn).toString(16)}`;
  const [head = '', tail] = plain.split('::');
  const first = groupsOf(head);
  const last = groupsOf(tail ?? '');
  const zeros = Array.from({ length: 8 - first.length - last.length }, () => '0');
  return [...first, ...zeros, ...last].reduce(
    (bits, group) => (bits << 16n) | BigInt(`0x${group}`),
    0n,
  );
}

function groupsOf(text: string): string[] {
  return text === '' ? [] : text.split(':');
}
