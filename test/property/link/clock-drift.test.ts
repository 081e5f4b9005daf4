import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ClockDrift } from '../../../packages/link/src/stats/clock-drift.ts';

const HEARTBEAT_MS = 5_000;

test('a clock that drifts evenly is measured, wherever it begins and however often it is asked', () => {
  fc.assert(
    fc.property(
      fc.double({ min: -500, max: 500, noNaN: true }),
      fc.double({ min: -1e9, max: 1e9, noNaN: true }),
      fc.integer({ min: 8, max: 300 }),
      (ppm, beginMs, samples) => {
        const drift = new ClockDrift();
        for (let n = 0; n < samples; n++) {
          const atMs = n * HEARTBEAT_MS;
          drift.add(atMs, beginMs + (atMs * ppm) / 1e6);
        }
        assert.ok(Math.abs(drift.ppm! - ppm) < 0.01, `${drift.ppm} for ${ppm}`);
      },
    ),
  );
});

test('noise of round trips averages out, and what was long ago is forgotten', () => {
  fc.assert(
    fc.property(
      fc.array(fc.double({ min: -1, max: 1, noNaN: true }), { minLength: 64 }),
      (noise) => {
        const drift = new ClockDrift();
        // Another clock, before it was set.
        for (let n = 0; n < 100; n++) drift.add(n * HEARTBEAT_MS, n * 1000);
        const samples = noise.slice(0, 64);
        for (const [n, ms] of samples.entries()) drift.add((100 + n) * HEARTBEAT_MS, 5 + ms);
        // 1 ms of noise over 64 heartbeats of 5 s can look like no more than this.
        assert.ok(Math.abs(drift.ppm!) < 5, `${drift.ppm}`);
      },
    ),
  );
});

test('few samples, or all at one moment, say nothing', () => {
  const drift = new ClockDrift();
  for (let n = 0; n < 7; n++) drift.add(n * HEARTBEAT_MS, n);
  assert.equal(drift.ppm, undefined);
  const still = new ClockDrift();
  for (let n = 0; n < 20; n++) still.add(0, n);
  assert.equal(still.ppm, undefined);
});
