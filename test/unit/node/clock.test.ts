import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { isoTime, nodeClockMs } from '../../../packages/routy/src/status/clock.ts';

test('after the clock was set, a moment is told as the clock has it now', () => {
  const atMs = nodeClockMs() - 5_000;
  const before = Date.parse(isoTime(atMs));
  assert.ok(Math.abs(Date.now() - before - 5_000) < 200);
  const realNow = Date.now;
  const stepped = mock.method(Date, 'now', () => realNow() + 3_600_000);
  const after = Date.parse(isoTime(atMs));
  assert.ok(Math.abs(after - before - 3_600_000) < 200);
  assert.ok(Math.abs(Date.now() - after - 5_000) < 200, 'it was 5 s ago, as before');
  assert.equal(isoTime(atMs), isoTime(atMs));
  stepped.mock.restore();
  assert.ok(Math.abs(Date.parse(isoTime(atMs)) - before) < 200);
});
