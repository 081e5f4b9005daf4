import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { nextDelayMs } from '../../packages/proto/src/base/backoff.ts';

test('a delay is a whole number from 0 to the cap, whatever the attempt and the random number', () => {
  fc.assert(
    fc.property(
      fc.nat({ max: Number.MAX_SAFE_INTEGER }),
      fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      fc.integer({ min: 1, max: 10_000 }),
      fc.integer({ min: 1, max: 100_000 }),
      (attempt, random01, baseMs, capMs) => {
        const delayMs = nextDelayMs({ attempt, random01, baseMs, capMs });
        assert.ok(Number.isInteger(delayMs) && delayMs >= 0 && delayMs <= capMs);
      },
    ),
  );
});
