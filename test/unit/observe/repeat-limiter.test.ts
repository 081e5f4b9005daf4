import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RepeatLimiter } from '../../../packages/routy/src/observe/repeat-limiter.ts';

const MINUTE = 60_000;

test('the first is reported at once, the following only counted', () => {
  const limiter = new RepeatLimiter<string>(MINUTE, 10);
  assert.equal(limiter.note(0, 'a', 'first'), true);
  assert.equal(limiter.note(1, 'a', 'second'), false);
  assert.equal(limiter.note(2, 'a', 'third'), false);
  assert.deepEqual(limiter.due(MINUTE - 1), []);
  assert.deepEqual(limiter.due(MINUTE), [{ value: 'third', count: 2 }]);
});

test('counting starts anew after each report', () => {
  const limiter = new RepeatLimiter<string>(MINUTE, 10);
  limiter.note(0, 'a', 'x');
  limiter.note(1, 'a', 'x');
  limiter.due(MINUTE);
  assert.equal(limiter.note(MINUTE + 1, 'a', 'y'), false);
  assert.deepEqual(limiter.due(2 * MINUTE), [{ value: 'y', count: 1 }]);
});

test('what stayed away for an interval is a first again', () => {
  const limiter = new RepeatLimiter<string>(MINUTE, 10);
  limiter.note(0, 'a', 'x');
  assert.deepEqual(limiter.due(MINUTE), []);
  assert.equal(limiter.size, 0);
  assert.equal(limiter.note(MINUTE + 1, 'a', 'x'), true);
});

test('different failures do not hide each other', () => {
  const limiter = new RepeatLimiter<string>(MINUTE, 10);
  assert.equal(limiter.note(0, 'a', 'a'), true);
  assert.equal(limiter.note(0, 'b', 'b'), true);
});

test('some may be reported at once before counting begins', () => {
  const limiter = new RepeatLimiter<number>(MINUTE, 10);
  const noted = [0, 1, 2, 3, 4].map((nowMs) => limiter.note(nowMs, 'a', nowMs, 3));
  assert.deepEqual(noted, [true, true, true, false, false]);
  assert.deepEqual(limiter.due(MINUTE), [{ value: 4, count: 2 }]);
  assert.equal(limiter.note(MINUTE + 1, 'a', 5, 3), false, 'until it stays away');
  limiter.due(2 * MINUTE);
  limiter.due(3 * MINUTE);
  assert.equal(limiter.note(3 * MINUTE + 1, 'a', 6, 3), true);
});

test('what is forgotten is not reported', () => {
  const limiter = new RepeatLimiter<string>(MINUTE, 10);
  for (const key of ['gone', 'gone', 'kept', 'kept']) limiter.note(0, key, key);
  limiter.forget((value) => value === 'gone');
  assert.deepEqual(limiter.due(MINUTE), [{ value: 'kept', count: 1 }]);
});

test('memory is bounded, and no count is lost for it', () => {
  const limiter = new RepeatLimiter<number>(MINUTE, 3);
  for (let key = 0; key < 100; key++) limiter.note(key, String(key), key);
  assert.equal(limiter.size, 3);
  assert.equal(limiter.note(100, '99', 99), true, 'not remembered');
  assert.equal(limiter.note(101, '0', 0), false);
  assert.deepEqual(limiter.due(MINUTE), [{ value: 0, count: 1 }]);
});

test('flush gives what was counted and forgets it', () => {
  const limiter = new RepeatLimiter<string>(MINUTE, 10);
  limiter.note(0, 'a', 'x');
  limiter.note(1, 'a', 'x');
  limiter.note(1, 'b', 'x');
  assert.deepEqual(limiter.flush(), [{ value: 'x', count: 1 }]);
  assert.deepEqual(limiter.flush(), []);
});
