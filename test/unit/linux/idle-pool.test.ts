import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { IdlePool } from '../../../packages/linux/src/tls/handshake/idle-pool.ts';

function counting() {
  let made = 0;
  const pool = new IdlePool(() => ++made);
  return { pool, made: () => made };
}

test('a crowd makes each but once, also when it comes again', () => {
  const { pool, made } = counting();
  for (let round = 0; round < 3; round++) {
    const taken = Array.from({ length: 200 }, () => pool.take());
    assert.equal(new Set(taken).size, 200, 'none is used by two');
    for (const thing of taken) pool.give(thing);
  }
  assert.equal(made(), 200);
  pool.close();
});

test('when the crowd has gone a few are kept', (t) => {
  mock.timers.enable({ apis: ['setTimeout'] });
  t.after(() => mock.timers.reset());
  const { pool, made } = counting();
  const crowd = Array.from({ length: 200 }, () => pool.take());
  for (const thing of crowd) pool.give(thing);
  // In the first span the crowd was there; in the second it was not.
  mock.timers.tick(10_000);
  assert.equal(takenWithoutMaking(), 200);
  mock.timers.tick(10_000);
  mock.timers.tick(10_000);
  assert.equal(takenWithoutMaking(), 16);

  function takenWithoutMaking(): number {
    const before = made();
    const taken: number[] = [];
    while (made() === before) taken.push(pool.take());
    for (const thing of taken.slice(0, -1)) pool.give(thing);
    return taken.length - 1;
  }
});

test('closed, it keeps nothing', () => {
  const { pool, made } = counting();
  const thing = pool.take();
  pool.close();
  pool.give(thing);
  assert.notEqual(pool.take(), thing);
  assert.equal(made(), 2);
});
