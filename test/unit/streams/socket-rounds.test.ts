import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { SocketRounds } from '../../../packages/link/src/streams/socket-rounds.ts';

const TICK_MS = 250;

interface Member {
  readonly name: string;
  isOver: boolean;
  stays: boolean;
}

function membersOf(count: number): Member[] {
  return Array.from({ length: count }, (_, index) => {
    return { name: `m${index}`, isOver: false, stays: true };
  });
}

/** Rounds that look at two at a time, and who was looked at. */
function start(t: TestContext, members: readonly Member[]) {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const looked: string[] = [];
  const rounds = new SocketRounds<Member>(
    2,
    ({ isOver }) => isOver,
    ({ name, stays }) => {
      looked.push(name);
      return stays;
    },
  );
  for (const member of members) rounds.join(member);
  const tick = (): string[] => {
    looked.length = 0;
    t.mock.timers.tick(TICK_MS);
    return [...looked];
  };
  return { rounds, tick };
}

test('members are looked at in turn, a bounded number at a time', (t) => {
  const { tick } = start(t, membersOf(5));
  const seen = Array.from({ length: 6 }, tick);
  for (const names of seen) assert.ok(names.length <= 2, names.join());
  assert.deepEqual(seen.flat().slice(0, 6), ['m0', 'm1', 'm2', 'm3', 'm4', 'm0']);
});

test('those that are over are neither looked at nor in the way', (t) => {
  const members = membersOf(8);
  const { tick } = start(t, members);
  for (const member of members.slice(0, 3)) member.isOver = true;
  assert.deepEqual(tick(), ['m3', 'm4']);
  for (const member of members.slice(5, 7)) member.isOver = true;
  assert.deepEqual(tick(), ['m7']);
});

test('one that need not be looked at again leaves, and the last one stops the timer', (t) => {
  const members = membersOf(2);
  members[0]!.stays = false;
  const { rounds, tick } = start(t, members);
  assert.deepEqual(tick(), ['m0', 'm1']);
  tick();
  assert.deepEqual(tick(), ['m1']);
  members[1]!.isOver = true;
  tick();
  assert.deepEqual(tick(), []);
  members[1]!.isOver = false;
  rounds.join(members[1]!);
  assert.deepEqual(tick(), ['m1']);
});

test('who leaves its seat is not asked for any more, before its first look or later', (t) => {
  const members = membersOf(3);
  const { rounds, tick } = start(t, []);
  const seats = members.map((member) => rounds.join(member));
  seats[0]!.member = undefined;
  assert.deepEqual(tick(), ['m1', 'm2']);
  seats[1]!.member = undefined;
  assert.deepEqual([...tick(), ...tick()], ['m2']);
  seats[2]!.member = undefined;
  assert.deepEqual([...tick(), ...tick()], []);
});

test('many that live do not keep those that are over', (t) => {
  const members = membersOf(100);
  const asked = new Set<string>();
  t.mock.timers.enable({ apis: ['setInterval'] });
  const rounds = new SocketRounds<Member>(
    1,
    ({ name, isOver }) => {
      if (isOver) asked.add(name);
      return isOver;
    },
    () => true,
  );
  for (const member of members) rounds.join(member);
  t.mock.timers.tick(TICK_MS);
  for (const member of members.slice(90)) member.isOver = true;
  t.mock.timers.tick(2 * TICK_MS);
  assert.equal(asked.size, 10);
  asked.clear();
  t.mock.timers.tick(100 * TICK_MS);
  assert.equal(asked.size, 0, 'they were let go');
});
