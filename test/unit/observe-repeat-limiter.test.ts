import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RepeatLimiter } from '../../src/observe/repeat-limiter.ts';

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

test('memory is bounded: the oldest failure is forgotten', () => {
  const limiter = new RepeatLimiter<number>(MINUTE, 3);
  for (let key = 0; key < 100; key++) limiter.note(key, String(key), key);
  assert.equal(limiter.size, 3);
  assert.equal(limiter.note(100, '0', 0), true);
  assert.equal(limiter.note(101, '99', 99), false);
});

test('flush gives what was counted and forgets it', () => {
  const limiter = new RepeatLimiter<string>(MINUTE, 10);
  limiter.note(0, 'a', 'x');
  limiter.note(1, 'a', 'x');
  limiter.note(1, 'b', 'x');
  assert.deepEqual(limiter.flush(), [{ value: 'x', count: 1 }]);
  assert.deepEqual(limiter.flush(), []);
});
