import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Arrivals } from '../../support/tcp-tools/arrivals.ts';

const WITHIN_MS = 250;

function arrivedAt(...times: readonly number[]): Arrivals {
  const arrivals = new Arrivals();
  for (const ms of times) arrivals.add(1, ms);
  return arrivals;
}

test('the silence that a cut left ends with the byte after it', () => {
  const arrivals = arrivedAt(900, 1_000, 1_075, 1_200, 1_300);
  assert.equal(arrivals.silenceAfter(1_010, WITHIN_MS, false), 190);
});

test('a silence lasts until a byte comes', () => {
  assert.equal(arrivedAt(900).silenceAfter(1_000, WITHIN_MS, false), null);
  assert.equal(arrivedAt(900, 1_100).silenceAfter(1_000, WITHIN_MS, false), null);
});

test('the end of a transfer soon after the cut is no silence', () => {
  assert.equal(arrivedAt(900, 1_075, 1_200).silenceAfter(1_000, WITHIN_MS, true), 200);
  assert.equal(arrivedAt(900).silenceAfter(1_000, WITHIN_MS, true), 0);
});
