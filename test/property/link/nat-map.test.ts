import assert from 'node:assert/strict';
import { isIPv4, isIPv6, SocketAddress } from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import { NatMap, type NatRule } from '../../../packages/link/src/locators/index.ts';
import {
  formatIp,
  parseIp,
  parsePrefix,
  prefixOf,
  widthOf,
} from '../../../packages/link/src/locators/ip-prefix.ts';

const bitsOf = (family: 4 | 6) => fc.bigInt({ min: 0n, max: (1n << BigInt(widthOf(family))) - 1n });

/** IPv6 with runs of zeros, as real ones have. */
const ipv6Bits = fc
  .array(fc.oneof(fc.constant(0n), fc.bigInt({ min: 0n, max: 0xffffn })), {
    minLength: 8,
    maxLength: 8,
  })
  .map((groups) => groups.reduce((bits, group) => (bits << 16n) | group, 0n));

const addresses = fc.oneof(
  bitsOf(4).map((bits) => ({ family: 4 as const, bits })),
  ipv6Bits.map((bits) => ({ family: 6 as const, bits })),
);

test('an address is read as it is written, and written as Node writes it', () => {
  fc.assert(
    fc.property(addresses, ({ family, bits }) => {
      const text = formatIp(family, bits);
      assert.ok(family === 4 ? isIPv4(text) : isIPv6(text), text);
      assert.deepEqual(parseIp(text), { family, bits });
      // What begins like an embedded IPv4 address is written with dots by the system.
      if (family === 4 || bits >> 48n !== 0n) {
        const { address } = new SocketAddress({ family: `ipv${family}`, address: text });
        assert.equal(text, address);
      }
    }),
  );
});

test('an IPv6 address with dots, upper case or a zone', () => {
  assert.deepEqual(parseIp('::FFFF:10.0.0.1'), { family: 6, bits: 0xffff0a000001n });
  assert.deepEqual(parseIp('64:ff9b::192.0.2.33'), parseIp('64:ff9b::c000:221'));
  assert.equal(parseIp('fe80::1%eth0'), undefined);
  assert.equal(formatIp(6, 0x10_0000_0000_0001_0000_0000_0000_0003n), '10:0:0:1::3');
});

/** Rules whose outside prefixes are apart: each has a network of its own by its first bits. */
const ruleSets = fc
  .record({
    family: fc.constantFrom(4 as const, 6 as const),
    drafts: fc.array(
      fc.record({
        inside: fc.bigInt({ min: 0n, max: 7n }),
        seed: bitsOf(6),
        length: fc.integer({ min: 3, max: 12 }),
        peer: fc.constantFrom(undefined, 'red', 'gray'),
      }),
      { minLength: 1, maxLength: 12 },
    ),
  })
  .map(({ family, drafts }) => ({ family, rules: rulesOf(family, drafts) }));

interface Draft {
  readonly inside: bigint;
  readonly seed: bigint;
  readonly length: number;
  readonly peer: string | undefined;
}

function rulesOf(family: 4 | 6, drafts: readonly Draft[]): NatRule[] {
  const width = widthOf(family);
  const seen = new Set<string>();
  return drafts.flatMap(({ inside, seed, length, peer }, index) => {
    const size = 4 + length;
    const top = (inside << BigInt(width - 3)) | (seed & ((1n << BigInt(width - 3)) - 1n));
    const insideText = `${formatIp(family, prefixOf(top, size, width))}/${size}`;
    const outside = BigInt(index) << BigInt(width - 4);
    const key = `${insideText} ${peer}`;
    if (seen.has(key)) return [];
    seen.add(key);
    const rule = { inside: insideText, outside: `${formatIp(family, outside)}/${size}` };
    return [peer === undefined ? rule : { ...rule, peer }];
  });
}

test('what is translated to the outside comes back as itself, for every peer', () => {
  let translated = 0;
  fc.assert(
    fc.property(ruleSets, bitsOf(6), fc.constantFrom('red', 'gray', 'blue'), (set, seed, peer) => {
      const { family, rules } = set;
      const map = new NatMap(rules);
      for (const { bits, length } of rules.map(({ inside }) => parsePrefix(inside)!)) {
        const rest = (1n << BigInt(widthOf(family) - length)) - 1n;
        const address = formatIp(family, bits | (seed & rest));
        const outside = map.toOutside(address, peer);
        if (outside === undefined) continue;
        translated += 1;
        assert.equal(map.toInside(outside, peer), address);
      }
    }),
  );
  assert.ok(translated > 100, `only ${translated} were translated`);
});

test('the longest prefix that a peer sees wins, its own before that of everybody', () => {
  fc.assert(
    fc.property(
      ruleSets,
      bitsOf(6),
      fc.constantFrom('red', 'gray', undefined),
      (set, seed, peer) => {
        const { family, rules } = set;
        const width = widthOf(family);
        const map = new NatMap(rules);
        for (const sample of rules) {
          const { bits: start, length: size } = parsePrefix(sample.inside)!;
          const bits = start | (seed & ((1n << BigInt(width - size)) - 1n));
          const [best] = rules
            .map((rule) => ({ rule, prefix: parsePrefix(rule.inside)! }))
            .filter(({ rule }) => rule.peer === undefined || rule.peer === peer)
            .filter(({ prefix }) => prefixOf(bits, prefix.length, width) === prefix.bits)
            .sort(
              (a, b) =>
                b.prefix.length - a.prefix.length ||
                Number(b.rule.peer !== undefined) - Number(a.rule.peer !== undefined),
            );
          const expected =
            best === undefined
              ? undefined
              : formatIp(family, parsePrefix(best.rule.outside)!.bits + bits - best.prefix.bits);
          assert.equal(map.toOutside(formatIp(family, bits), peer), expected);
        }
      },
    ),
  );
});

test('rules whose outside prefixes overlap for some peer are refused, and the error names both', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(4 as const, 6 as const),
      bitsOf(6),
      fc.integer({ min: 1, max: 30 }),
      fc.integer({ min: 0, max: 2 }),
      fc.constantFrom(undefined, 'red'),
      (family, seed, length, more, peer) => {
        const width = widthOf(family);
        const bits = seed & ((1n << BigInt(width)) - 1n);
        const prefix = (size: number) => `${formatIp(family, prefixOf(bits, size, width))}/${size}`;
        const other = (size: number, first: bigint) =>
          `${formatIp(family, first << BigInt(width - 1))}/${size}`;
        const rules = [
          { inside: other(length, 0n), outside: prefix(length) },
          {
            inside: other(length + more, 1n),
            outside: prefix(length + more),
            ...(peer === undefined ? {} : { peer }),
          },
        ];
        for (const order of [rules, [...rules].reverse()]) {
          assert.throws(
            () => new NatMap(order),
            (error: Error & { code: string }) =>
              error.code === 'nat-map-invalid' &&
              rules.every((rule) => error.message.includes(`${rule.inside} -> ${rule.outside}`)),
          );
        }
      },
    ),
  );
});

test('peers that do not see each other’s rules may have the same addresses', () => {
  const map = new NatMap([
    { inside: '10.0.0.0/24', outside: '203.0.113.0/24' },
    { inside: '10.0.0.0/24', outside: '192.168.5.0/24', peer: 'red' },
    { inside: '10.0.1.7', outside: '192.168.5.7', peer: 'gray' },
    { inside: '2001:db8:1::/48', outside: '2001:db8:2::/48' },
  ]);
  assert.equal(map.toOutside('10.0.0.9'), '203.0.113.9');
  assert.equal(map.toOutside('10.0.0.9', 'red'), '192.168.5.9');
  assert.equal(map.toOutside('10.0.1.7', 'gray'), '192.168.5.7');
  assert.equal(map.toInside('192.168.5.7', 'red'), '10.0.0.7');
  assert.equal(map.toInside('192.168.5.7', 'gray'), '10.0.1.7');
  assert.equal(map.toOutside('2001:db8:1::5', 'red'), '2001:db8:2::5');
  assert.equal(map.toOutside('10.0.2.1', 'red'), undefined);
  assert.equal(map.toOutside('host.example', 'red'), undefined);
});

test('a node has rules of its own, those of its site and those of everybody, in this order', () => {
  const site = { inside: '10.0.0.0/24', outside: '192.168.5.0/24', peer: 'red' };
  const node = { inside: '10.0.0.0/24', outside: '192.168.6.0/24', peer: 'red/red1' };
  const all = { inside: '10.0.0.0/24', outside: '192.168.7.0/24' };
  const map = new NatMap([all, site, node]);
  assert.equal(map.toOutside('10.0.0.9', 'red/red1'), '192.168.6.9');
  assert.equal(map.toOutside('10.0.0.9', 'red/red2'), '192.168.5.9');
  assert.equal(map.toOutside('10.0.0.9', 'red'), '192.168.5.9');
  assert.equal(map.toOutside('10.0.0.9', 'gray/gray1'), '192.168.7.9');
  assert.throws(() => new NatMap([site, { ...node, outside: site.outside }]), /overlap outside/);
  const other = { ...node, outside: site.outside, peer: 'gray/gray1' };
  assert.equal(new NatMap([site, other]).toInside('192.168.5.7', 'gray/gray1'), '10.0.0.7');
});

test('a rule that cannot be meant is refused with what is wrong', () => {
  const wrong: readonly (readonly [NatRule, RegExp])[] = [
    [{ inside: '10.0.0.5/24', outside: '10.1.0.0/24' }, /10\.0\.0\.5\/24 is neither/],
    [{ inside: '10.0.0.0/33', outside: '10.1.0.0/33' }, /10\.0\.0\.0\/33 is neither/],
    [{ inside: 'red', outside: '10.1.0.0' }, /red is neither/],
    [{ inside: '10.0.0.1', outside: '2001:db8::1' }, /one address family to the other/],
    [{ inside: '10.0.0.0/24', outside: '10.1.0.0/25' }, /prefixes of 24 and 25 bits/],
  ];
  for (const [rule, message] of wrong) {
    assert.throws(() => new NatMap([rule]), { code: 'nat-map-invalid', message });
  }
  const twice = { inside: '10.0.0.1', outside: '192.168.0.1' };
  assert.throws(() => new NatMap([twice, { ...twice, outside: '192.168.0.2' }]), {
    code: 'nat-map-invalid',
    message: /the same inside prefix/,
  });
});

test('candidates for a peer have its addresses; the others stay as they are', () => {
  const map = new NatMap([{ inside: '10.0.0.0/24', outside: '203.0.113.0/24', peer: 'gray' }]);
  const tcp = (host: string) => ({
    transport: 'tls',
    address: { kind: 'tcp' as const, host, port: 7443 },
  });
  const others = [
    tcp('red.example'),
    tcp('10.9.0.1'),
    { transport: 'memory', address: '10.0.0.1' },
  ];
  assert.deepEqual(map.candidatesFor('gray', [tcp('10.0.0.4'), ...others]), [
    tcp('203.0.113.4'),
    ...others,
  ]);
});
