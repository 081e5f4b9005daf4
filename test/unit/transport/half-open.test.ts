import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  CROWDED_PATIENCE_MS,
  HANDSHAKE_PATIENCE_MS,
  HalfOpen,
  NAMELESS_PATIENCE_MS,
  sourceOf,
} from '../../../packages/link/src/transport/tcp/half-open.ts';

interface Knock {
  readonly name: string;
  readonly source: string;
}

const LIMITS = { halfOpen: 4, halfOpenPerAddress: 2, waiting: 6, waitingPerAddress: 4 };

/** Those called `a1 a2 b1` come from the sources `a` and `b`. */
class House {
  readonly halfOpen = new HalfOpen<Knock>(LIMITS);
  readonly #knocks = new Map<string, Knock>();

  /** Names of those who had to go. */
  come(names: string, nowMs = 0): string[] {
    return names.split(' ').flatMap((name) => {
      const knock = { name, source: name.slice(0, 1) };
      this.#knocks.set(name, knock);
      const gone = this.halfOpen.add(nowMs, knock);
      return gone === undefined ? [] : [gone.name];
    });
  }

  speak(names: string, nowMs = 0): void {
    for (const name of names.split(' ')) this.halfOpen.heard(nowMs, this.knock(name));
  }

  begin(nowMs = 0): string[] {
    const names: string[] = [];
    for (let each = this.halfOpen.begin(nowMs); each; each = this.halfOpen.begin(nowMs)) {
      names.push(each.name);
    }
    return names;
  }

  knock(name: string): Knock {
    return this.#knocks.get(name)!;
  }
}

test('silence takes no place; who speaks begins, and one source takes only its share', () => {
  const house = new House();
  assert.deepEqual(house.come('a1 a2 a3 b1'), []);
  assert.deepEqual(house.begin(), []);
  house.speak('a3 a2 a1 b1');
  assert.deepEqual(house.begin(), ['a3', 'b1', 'a2']);
  assert.equal(house.halfOpen.waiting, 1);
  house.halfOpen.remove(house.knock('a3'));
  assert.deepEqual(house.begin(), ['a1'], 'it waited, and nobody was thrown out');
});

test('with half of the places free a handshake begins before the first bytes', () => {
  const house = new House();
  const atOnce = (name: string) => {
    house.come(name);
    return house.halfOpen.beginAtOnce(0, house.knock(name));
  };
  assert.deepEqual(['a1', 'a2', 'b1', 'c1'].map(atOnce), [true, false, true, false]);
  house.speak('a2 c1');
  assert.deepEqual(house.begin(), ['c1', 'a2']);
  for (const name of ['a1', 'a2', 'b1']) house.halfOpen.remove(house.knock(name));
  house.come('c2 d1');
  house.speak('c2');
  assert.equal(
    house.halfOpen.beginAtOnce(0, house.knock('d1')),
    false,
    'not before one that waits',
  );
});

test('of several sources the one that holds least is next, then who has waited longest', () => {
  const house = new House();
  house.come('a1 a2 b1 c1');
  house.speak('a1 a2', 0);
  assert.deepEqual(house.begin(0), ['a1', 'a2']);
  house.come('a3 d1');
  house.speak('a3', 1);
  house.speak('d1', 2);
  house.speak('c1', 3);
  house.speak('b1', 4);
  assert.deepEqual(house.begin(5), ['d1', 'c1']);
});

test('when no more can wait the oldest silent one of whoever has most goes', () => {
  const house = new House();
  assert.deepEqual(house.come('a1 b1 a2 a3 b2 c1'), []);
  assert.deepEqual(house.come('d1'), ['a1']);
  assert.deepEqual(house.come('a4 a5'), ['a2', 'a3']);
});

test('those that wait keep their turn: the last to come is sent away', () => {
  const house = new House();
  house.come('a1 a2 a3 a4');
  house.speak('a1 a2 a3 a4');
  assert.deepEqual(house.come('a5'), ['a5']);
  assert.deepEqual(house.come('b1 b2'), []);
  assert.deepEqual(house.come('c1'), ['a4'], 'the source that has most makes room for another');
  assert.deepEqual(house.begin(), ['a1', 'a2']);
});

test('a handshake that stands still gives way, but only while somebody waits for its place', () => {
  const house = new House();
  house.come('a1 a2 a3');
  house.speak('a1 a2');
  house.begin(0);
  assert.equal(house.halfOpen.giveWay(60_000), undefined);
  house.speak('a3', 60_000);
  assert.equal(house.halfOpen.giveWay(60_000)?.name, 'a1');
  assert.deepEqual(house.begin(60_000), ['a3']);
  assert.equal(house.halfOpen.giveWay(60_000), undefined);
});

test('patience: one of a full source, shorter when somebody has waited long', () => {
  const house = new House();
  house.come('a1 a2 a3 b1');
  house.speak('a1 a2 a3 b1', 0);
  house.begin(0);
  assert.equal(house.halfOpen.giveWay(HANDSHAKE_PATIENCE_MS - 1), undefined);
  assert.equal(house.halfOpen.giveWay(HANDSHAKE_PATIENCE_MS)?.name, 'a1', 'not b1');
  const later = HANDSHAKE_PATIENCE_MS + 1;
  house.halfOpen.remove(house.knock('a2'));
  house.come('a4 a5');
  house.speak('a4 a5', later);
  assert.deepEqual(house.begin(later), ['a3', 'a4']);
  const crowded = later + HANDSHAKE_PATIENCE_MS + 1;
  assert.equal(house.halfOpen.giveWay(crowded)?.name, 'a3');
  assert.ok(CROWDED_PATIENCE_MS < HANDSHAKE_PATIENCE_MS);
});

test('who enrols is spared longer, and goes after handshakes', () => {
  const house = new House();
  house.come('a1 a2 a3');
  house.speak('a1 a2 a3');
  house.begin(0);
  house.halfOpen.established(0, house.knock('a1'));
  assert.equal(house.halfOpen.giveWay(NAMELESS_PATIENCE_MS)?.name, 'a2');
  house.begin(NAMELESS_PATIENCE_MS);
  house.come('a4');
  house.speak('a4', NAMELESS_PATIENCE_MS);
  assert.equal(house.halfOpen.giveWay(NAMELESS_PATIENCE_MS)?.name, 'a1');
});

test('a stranger that fills every place with standing handshakes keeps no other source out', () => {
  const house = new House();
  house.come('a1 a2 b1 b2');
  house.speak('a1 a2 b1 b2');
  house.begin(0);
  house.come('a3 c1');
  house.speak('a3', 1);
  house.speak('c1', 2);
  assert.notEqual(house.halfOpen.giveWay(HANDSHAKE_PATIENCE_MS), undefined);
  assert.deepEqual(house.begin(HANDSHAKE_PATIENCE_MS), ['c1']);
});

test('who has gone is counted out once', () => {
  const house = new House();
  house.come('a1 a2');
  house.halfOpen.remove(house.knock('a1'));
  house.halfOpen.remove(house.knock('a1'));
  assert.equal(house.halfOpen.count, 1);
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
