import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HalfOpen, sourceOf } from '../../src/transport/half-open.ts';

interface Knock {
  readonly name: string;
  readonly source: string;
  settled: boolean;
}

/** Those called `a1 a2 b1`, in that order of coming, from the sources `a` and `b`. */
function house(names: string, limits = { halfOpen: 6, halfOpenPerAddress: 4 }) {
  const halfOpen = new HalfOpen<Knock>(limits);
  const knocks = names
    .split(' ')
    .map((name) => ({ name, source: name.slice(0, 1), settled: false }));
  for (const knock of knocks) halfOpen.add(knock);
  return { halfOpen, knocks };
}

test('while there is room nobody has to go', () => {
  const { halfOpen } = house('a1 a2 a3 b1 b2');
  assert.equal(halfOpen.count, 5);
  assert.equal(halfOpen.crowded('a'), undefined);
  assert.equal(halfOpen.crowded('c'), undefined);
});

test('in a full house the oldest of whoever holds most goes, whoever comes', () => {
  const { halfOpen } = house('b1 a1 a2 c1 a3 c2');
  for (const source of ['a', 'b', 'c', 'd']) {
    assert.equal(halfOpen.crowded(source)?.victim.name, 'a1', `for ${source}`);
  }
  assert.equal(halfOpen.crowded('d')?.reason, 'it made room: 6 handshakes were under way');
});

test('where all hold the same, who came first goes', () => {
  const { halfOpen } = house('a1 b1 c1 d1 e1 f1');
  assert.equal(halfOpen.crowded('g')?.victim.name, 'a1');
});

test('who holds all that one may makes room for itself, though the house is not full', () => {
  const { halfOpen } = house('b1 a1 a2 a3 a4');
  const crowded = halfOpen.crowded('a');
  assert.equal(crowded?.victim.name, 'a1');
  assert.equal(crowded.reason, 'it made room: 4 handshakes from a were under way');
  assert.equal(halfOpen.crowded('b'), undefined);
});

test('who enrols goes after those who only knock, and before somebody else has to', () => {
  const { halfOpen, knocks } = house('a1 a2 a3 b1 b2 c1');
  knocks[0]!.settled = true;
  assert.equal(halfOpen.crowded('c')?.victim.name, 'a2');
  for (const knock of knocks.slice(1, 3)) knock.settled = true;
  assert.equal(halfOpen.crowded('c')?.victim.name, 'a1');
});

test('who has gone is counted out once', () => {
  const { halfOpen, knocks } = house('a1 a2 b1 b2 c1 c2');
  halfOpen.remove(knocks[0]!);
  halfOpen.remove(knocks[0]!);
  assert.equal(halfOpen.count, 5);
  assert.equal(halfOpen.crowded('d'), undefined);
});

test('an IPv6 network is one source, and so is an IPv4 address in whatever clothes', () => {
  const same: [string, ...string[]][] = [
    ['192.0.2.1', '192.0.2.1', '::ffff:192.0.2.1'],
    ['2001:db8:0:0::/64', '2001:db8::1', '2001:db8::ffff:0:0:1', '2001:db8:0:0:1:2:3:4'],
    ['2001:db8:1:2::/64', '2001:db8:1:2::', '2001:db8:1:2:3::', '2001:db8:1:2:0:5efe:192.0.2.1'],
    ['0:0:0:0::/64', '::', '::1', '::192.0.2.1'],
    ['0:0:3:4::/64', '::3:4:5:6:7:8'],
    ['64:ff9b:0:0::/64', '64:ff9b::192.0.2.1'],
    ['fe80:0:0:0::/64', 'fe80::1%eth0'],
  ];
  for (const [source, ...addresses] of same) {
    for (const address of addresses) assert.equal(sourceOf(address), source, address);
  }
});
