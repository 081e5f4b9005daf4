import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Budget } from '../../src/session/budget.ts';
import { ReceiveWindow, WINDOW_BYTES_MIN } from '../../src/session/receive-window.ts';
import { ProtocolError } from '../../src/wire/protocol-error.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

function makeWindow(
  poolBytes: number,
  windowMax = 4 * MIB,
): { window: ReceiveWindow; pool: Budget } {
  const pool = new Budget(poolBytes);
  assert.ok(pool.tryTake(WINDOW_BYTES_MIN));
  return { pool, window: new ReceiveWindow(WINDOW_BYTES_MIN, windowMax, pool, 0) };
}

test('it starts small, and wide at its start while the pool is hardly used', () => {
  const { window, pool } = makeWindow(64 * MIB);
  assert.equal(window.limit, WINDOW_BYTES_MIN);
  window.start(0);
  assert.equal(window.limit, 64 * KIB);
  assert.equal(pool.used, 64 * KIB);
  const tight = makeWindow(4 * WINDOW_BYTES_MIN);
  tight.window.start(0);
  assert.equal(tight.window.limit, WINDOW_BYTES_MIN);
  const capped = makeWindow(64 * MIB, 20_000);
  capped.window.start(0);
  assert.equal(capped.window.limit, 20_000);
});

test('bytes come in order and within the limit', () => {
  const { window } = makeWindow(MIB);
  window.receive(0, WINDOW_BYTES_MIN - 1);
  assert.throws(() => window.receive(0, 1), { name: 'ProtocolError', code: 'frame-offset' });
  assert.throws(() => window.receive(window.received, 2), ProtocolError);
  window.receive(window.received, 1);
  assert.equal(window.received, WINDOW_BYTES_MIN);
});

test('credit is due when half the window is used, an acknowledgement with the first byte', () => {
  const { window } = makeWindow(MIB);
  window.receive(0, WINDOW_BYTES_MIN);
  assert.equal(window.ackDue, false);
  assert.equal(window.deliver(10_000, WINDOW_BYTES_MIN / 2 - 1, undefined), false);
  assert.equal(window.ackDue, true);
  assert.equal(window.deliver(10_000, 1, undefined), true);
  window.grant(10_000);
  assert.equal(window.limit, 1.5 * WINDOW_BYTES_MIN);
  assert.equal(window.ackDue, false);
});

function fill(window: ReceiveWindow, nowMs: number, rttMs: number | undefined): void {
  window.receive(window.received, window.limit - window.received);
  assert.ok(window.deliver(nowMs, window.received - window.delivered, rttMs));
  window.grant(nowMs);
}

test('it doubles while it is used up within two round trips', () => {
  const { window } = makeWindow(64 * MIB, MIB);
  fill(window, 19, 10);
  assert.equal(window.window, 2 * WINDOW_BYTES_MIN);
  fill(window, 39, 10);
  assert.equal(window.window, 2 * WINDOW_BYTES_MIN, 'twenty ms are two round trips');
  fill(window, 39.4, undefined);
  assert.equal(window.window, 4 * WINDOW_BYTES_MIN, 'at once is always fast');
  for (let i = 0; i < 20; i++) fill(window, 40, 10);
  assert.equal(window.window, MIB, 'up to its limit');
});

test('it grows only while half of the pool is free, and gives everything back', () => {
  const { window, pool } = makeWindow(256 * KIB);
  for (let i = 0; i < 20; i++) fill(window, 1, 10);
  assert.equal(window.window, 128 * KIB);
  assert.equal(pool.used, 128 * KIB);
  window.close();
  assert.equal(pool.used, 0);
});
