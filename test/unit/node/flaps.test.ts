import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Flaps, YOUNG_DEATHS_MAX, YOUNG_MS } from '../../../packages/routy/src/events/flaps.ts';

function flapping(flaps: Flaps, peer: string, nowMs: number): void {
  for (let n = 0; n <= YOUNG_DEATHS_MAX; n++) flaps.lost(peer, nowMs, nowMs);
}

test('peers that never come again are forgotten when another one flaps', () => {
  const flaps = new Flaps();
  for (let n = 0; n < 100; n++) flapping(flaps, `red/red${n}`, n);
  assert.equal(flaps.size, 100);
  assert.equal(flaps.has('red/red99', 99), true);
  flapping(flaps, 'red/red0', 200);
  flaps.lost('gray/gray1', YOUNG_MS + 99, YOUNG_MS + 99);
  assert.equal(flaps.size, 2, 'the one that came again, and the new one');
  assert.equal(flaps.has('red/red0', YOUNG_MS + 99), true);
});
