import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Budget } from '../../../packages/proto/src/session/flow/budget.ts';
import { FairPool } from '../../../packages/proto/src/session/flow/fair-pool.ts';

const LIMIT = 1_000_000;
const HOLDERS = 12;

interface Step {
  readonly holder: number;
  /** Of the limit; taken when it fits, given back when negative. */
  readonly share: number;
}

const steps = fc.array(
  fc.record({
    holder: fc.integer({ min: 0, max: HOLDERS - 1 }),
    share: fc.double({ min: -0.5, max: 1, noNaN: true }),
  }),
  { maxLength: 100 },
);

function play(pool: FairPool, budgets: readonly Budget[], { holder, share }: Step): void {
  const budget = budgets[holder]!;
  if (share < 0) budget.release(Math.min(budget.used, Math.ceil(-share * LIMIT)));
  else if (!budget.tryTake(Math.floor(share * LIMIT)))
    budget.tryTake(Math.max(0, Math.floor(budget.room)));
  assert.ok(budget.used >= 0 && pool.used >= 0);
}

function holders(pool: FairPool, count: number): Budget[] {
  return Array.from({ length: count }, (_, n) => new Budget(LIMIT, pool.of(`peer ${n}`)));
}

/** Everybody takes a little whenever there is room, until nobody gets anything. */
function settle(budgets: readonly Budget[]): void {
  for (let taken = true; taken; ) {
    taken = false;
    for (const budget of budgets) if (budget.tryTake(100)) taken = true;
  }
}

test('whatever others hold, everybody gets its guaranteed part, and the limit is kept', () => {
  fc.assert(
    fc.property(steps, (run) => {
      const pool = new FairPool(LIMIT);
      const budgets = holders(pool, HOLDERS);
      for (const step of run) {
        play(pool, budgets, step);
        const sum = budgets.reduce((total, { used }) => total + used, 0);
        assert.equal(pool.used, sum);
        assert.ok(pool.used <= LIMIT, `${pool.used} of ${LIMIT}`);
        for (const budget of budgets) {
          assert.ok(budget.used + budget.room >= pool.guaranteed - 1, 'room for everybody');
          assert.ok(budget.used <= pool.guaranteed || budget.used <= LIMIT);
        }
      }
    }),
  );
});

test('those who want the same have the same, once what they hold has gone through', () => {
  fc.assert(
    fc.property(steps, fc.integer({ min: 2, max: HOLDERS }), (run, count) => {
      const pool = new FairPool(LIMIT);
      const budgets = holders(pool, count);
      for (const step of run) play(pool, budgets, { ...step, holder: step.holder % count });
      // What is held is delivered bit by bit, in proportion, and taken again by whoever may.
      for (let round = 0; round < 60; round++) {
        for (const budget of budgets) budget.release(Math.floor(budget.used / 4));
        settle(budgets);
      }
      const held = budgets.map(({ used }) => used);
      const [least, most] = [Math.min(...held), Math.max(...held)];
      assert.ok(most <= least * 1.1 + 1000, held.join(' '));
      assert.ok(pool.used > LIMIT * 0.7, 'and little lies idle');
    }),
    { numRuns: 30 },
  );
});

test('one alone has most of it, and less when another comes', () => {
  const pool = new FairPool(LIMIT);
  const [one, two] = holders(pool, 2) as [Budget, Budget];
  settle([one]);
  assert.ok(one.used > 0.7 * LIMIT, `${one.used}`);
  settle([two]);
  assert.ok(two.used >= pool.guaranteed + 0.04 * LIMIT, `${two.used}`);
  assert.ok(one.room < -0.03 * LIMIT, 'what is above its share is to be given back');
  assert.ok(!one.tryTake(1));
});

test('everybody under a share hears once that there is no room, also when others took it', () => {
  const pool = new FairPool(LIMIT);
  const told: string[] = [];
  const [a, b, other] = ['red/a', 'red/a', 'gray/b'].map(
    (name, n) => new Budget(LIMIT, pool.of(name), () => told.push(`${name} ${n}`)),
  ) as [Budget, Budget, Budget];
  a.take(a.room - 10_000);
  assert.deepEqual(told, []);
  other.take(200_000);
  assert.deepEqual(told, ['red/a 0', 'red/a 1', 'gray/b 2']);
  b.take(1);
  assert.equal(told.length, 3);
  for (const [budget, bytes] of [
    [a, a.used],
    [b, 1],
    [other, 200_000],
  ] as const) {
    budget.release(bytes);
  }
  assert.equal(pool.used, 0);
});

test('a share lasts while something stands under it', () => {
  const pool = new FairPool(LIMIT);
  const budgets = [...holders(pool, 20), ...holders(pool, 20)];
  assert.equal(pool.holders, 20);
  assert.equal(pool.guaranteed, LIMIT / 4 / 20);
  for (const budget of budgets.slice(0, 20)) budget.close();
  assert.equal(pool.holders, 20);
  for (const budget of budgets.slice(20)) budget.close();
  assert.equal(pool.holders, 0);
});
