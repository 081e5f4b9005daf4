import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  backoffCapMs,
  classifyFailure,
  NETWORK_CAP_MS,
  nextDelayMs,
  REFUSAL_CAP_MS,
} from '../../../packages/proto/src/base/backoff.ts';

test('the first retry goes at once', () => {
  assert.equal(nextDelayMs({ attempt: 0, random01: 0.999 }), 0);
});

test('ceilings double from the base up to the cap', () => {
  const almostOne = 1 - Number.EPSILON;
  const ceilings = [1, 2, 3, 4, 5, 6, 7, 8, 9, 1e9].map((attempt) =>
    Math.round(nextDelayMs({ attempt, random01: almostOne }) / 100),
  );
  assert.deepEqual(ceilings, [1, 2, 4, 8, 16, 32, 64, 100, 100, 100]);
});

test('the jitter is full: random 0 gives no delay, 0.5 half the ceiling', () => {
  assert.equal(nextDelayMs({ attempt: 4, random01: 0 }), 0);
  assert.equal(nextDelayMs({ attempt: 4, random01: 0.5 }), 400);
});

test('a broken network is asked again within a second, a refusal is given time', () => {
  for (const code of ['ECONNREFUSED', 'ETIMEDOUT', 'EHOSTUNREACH', 'dial-timeout', 'lane-lost']) {
    assert.equal(backoffCapMs(code), NETWORK_CAP_MS, code);
  }
  for (const code of ['not-authorized', 'settings-mismatch', 'EMFILE', 'overload', 'unheard-of']) {
    assert.equal(backoffCapMs(code), REFUSAL_CAP_MS, code);
  }
  assert.ok(NETWORK_CAP_MS < 1000);
});

test('a shortage is told from a refusal', () => {
  for (const code of ['EMFILE', 'dial-exhausted', 'overload']) {
    assert.equal(classifyFailure(code), 'shortage', code);
  }
  for (const code of ['not-authorized', 'peer-not-verified', 'tls-not-tls', 'unheard-of']) {
    assert.equal(classifyFailure(code), 'refusal', code);
  }
  assert.equal(classifyFailure('lane-timeout'), 'network');
  assert.equal(classifyFailure(undefined), 'refusal');
});
