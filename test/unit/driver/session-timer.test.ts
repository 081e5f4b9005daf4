import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { SessionTimer } from '../../../packages/link/src/driver/session-timer.ts';

/** Timers and the clock are the test's. */
function started(t: TestContext) {
  let nowMs = 1_000;
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const fired: number[] = [];
  const timer = new SessionTimer(
    () => fired.push(nowMs),
    () => nowMs,
  );
  const tick = (ms: number, late = 0): void => {
    nowMs += ms + late;
    t.mock.timers.tick(ms);
  };
  return { timer, fired, tick };
}

test('it fires when it was set to, and an earlier time replaces a later one', (t) => {
  const { timer, fired, tick } = started(t);
  timer.set(1_500);
  timer.set(1_100);
  timer.set(undefined);
  tick(99);
  assert.deepEqual(fired, []);
  tick(1);
  assert.deepEqual(fired, [1_100]);
  tick(1_000);
  assert.deepEqual(fired, [1_100]);
});

test('a time that has passed fires at once', (t) => {
  const { timer, fired, tick } = started(t);
  timer.set(100);
  tick(1);
  assert.deepEqual(fired, [1_001]);
});

test('after a standstill it fires only when what has come meanwhile was read', async (t) => {
  const { timer, fired, tick } = started(t);
  timer.set(1_100);
  tick(100, 501);
  assert.equal(fired.length, 0, 'it fired before anything could be read');
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(fired, [1_601]);
});

test('a stopped timer never fires', (t) => {
  const { timer, fired, tick } = started(t);
  timer.set(1_100);
  timer.stop();
  timer.set(1_050);
  tick(1_000);
  assert.deepEqual(fired, []);
});
