import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Budget } from '../../../../packages/proto/src/session/flow/budget.ts';
import {
  ReceiveWindow,
  WINDOW_BYTES_MIN,
} from '../../../../packages/proto/src/session/flow/receive-window.ts';

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
  window.start();
  assert.equal(window.limit, 64 * KIB);
  assert.equal(pool.used, 64 * KIB);
  const tight = makeWindow(4 * WINDOW_BYTES_MIN);
  tight.window.start();
  assert.equal(tight.window.limit, WINDOW_BYTES_MIN);
  const capped = makeWindow(64 * MIB, 20_000);
  capped.window.start();
  assert.equal(capped.window.limit, 20_000);
});

test('bytes are expected up to the limit, and counted as they come', () => {
  const { window } = makeWindow(MIB);
  window.expect(WINDOW_BYTES_MIN);
  assert.throws(() => window.expect(WINDOW_BYTES_MIN + 1), {
    name: 'ProtocolError',
    code: 'credit-exceeded',
  });
  window.receive(WINDOW_BYTES_MIN - 1);
  window.receive(1);
  assert.equal(window.received, WINDOW_BYTES_MIN);
});

test('credit is due when half the window is used, an acknowledgement with the first byte', () => {
  const { window } = makeWindow(MIB);
  window.receive(WINDOW_BYTES_MIN);
  assert.equal(window.ackDue, false);
  assert.equal(window.deliver(10_000, WINDOW_BYTES_MIN / 2 - 1, undefined), false);
  assert.equal(window.ackDue, true);
  assert.equal(window.deliver(10_000, 1, undefined), true);
  window.grant();
  assert.equal(window.limit, 1.5 * WINDOW_BYTES_MIN);
  assert.equal(window.ackDue, false);
});

/** A sender that uses the whole window: all of it arrives and is delivered at `nowMs`. */
function fill(window: ReceiveWindow, nowMs: number, rttMs: number | undefined): void {
  window.receive(window.limit - window.received);
  assert.ok(window.deliver(nowMs, window.received - window.delivered, rttMs));
  window.grant();
}

test('it doubles every round trip while it is what limits the rate', () => {
  const { window } = makeWindow(64 * MIB, MIB);
  for (let i = 1; i <= 7; i++) {
    fill(window, i * 10, 10);
    assert.equal(window.window, Math.min(WINDOW_BYTES_MIN * 2 ** i, MIB), 'up to its limit');
  }
});

test('with others above their share it falls to its start at once, whatever the rate', () => {
  const { window, pool } = makeWindow(64 * MIB, MIB);
  for (let i = 1; i <= 7; i++) fill(window, i * 10, 10);
  assert.equal(window.window, MIB);
  pool.take(64 * MIB);
  fill(window, 80, 10);
  fill(window, 90, 10);
  assert.equal(window.window, WINDOW_BYTES_MIN);
  assert.equal(pool.used, 64 * MIB + WINDOW_BYTES_MIN);
});

test('it stays as it is for a sender that takes its time', () => {
  const { window } = makeWindow(64 * MIB, MIB);
  for (let i = 1; i <= 7; i++) fill(window, i * 30, 10);
  assert.equal(window.window, WINDOW_BYTES_MIN);
});

test('a pause says nothing about the rate', () => {
  const { window } = makeWindow(64 * MIB, MIB);
  for (let i = 1; i <= 4; i++) fill(window, i * 10, 10);
  assert.equal(window.window, 16 * WINDOW_BYTES_MIN);
  fill(window, 60_000, 10);
  fill(window, 60_010, 10);
  assert.ok(window.window >= 32 * WINDOW_BYTES_MIN);
});

test('on a fast path it follows the rate and not the noise of a scheduler', () => {
  const { window } = makeWindow(64 * MIB);
  // 100 KiB/ms at 0.25 ms of round trip: 100 KiB are enough.
  for (let nowMs = 5; nowMs < 500; nowMs += 5) {
    for (let left = 500 * KIB; left > 0; ) {
      const length = Math.min(left, window.limit - window.received);
      window.receive(length);
      if (window.deliver(nowMs, length, 0.25)) window.grant();
      left -= length;
    }
  }
  assert.ok(window.window >= 75 * KIB && window.window <= 150 * KIB, `${window.window} bytes`);
});

test('it shrinks by halves when the rate falls, never below its start or what was granted', () => {
  const { window, pool } = makeWindow(64 * MIB);
  window.start();
  for (let i = 1; i <= 4; i++) fill(window, i * 10, 10);
  assert.equal(window.window, MIB);
  let nowMs = 40;
  const widths = new Set<number>();
  while (nowMs < 20_000) {
    nowMs += 10;
    const length = Math.min(4 * KIB, window.limit - window.received);
    window.receive(length);
    if (window.deliver(nowMs, length, 10)) window.grant();
    widths.add(window.window);
    assert.ok(window.limit - window.delivered <= window.window);
    assert.equal(pool.used, window.window);
  }
  assert.deepEqual([...widths], [MIB, 512 * KIB, 256 * KIB, 128 * KIB, 64 * KIB]);
});

test('it grows only while half of the pool is free, and gives everything back', () => {
  const { window, pool } = makeWindow(256 * KIB);
  for (let i = 1; i < 20; i++) fill(window, i * 10, 10);
  assert.equal(window.window, 128 * KIB);
  assert.equal(pool.used, 128 * KIB);
  window.close();
  assert.equal(pool.used, 0);
});

test('bytes that come over several lanes get a window of twice as many round trips', () => {
  const { window } = makeWindow(64 * MIB);
  window.start();
  fill(window, 30, 10);
  assert.equal(window.window, 64 * KIB, 'two round trips are enough');
  window.ahead();
  fill(window, 60, 10);
  const wide = window.window;
  assert.ok(wide > 80 * KIB, `${wide}`);
  fill(window, 90, 10);
  assert.equal(window.window, wide, 'nothing came ahead since');
});

test('credit for bytes that come over several lanes is due with an eighth of the window', () => {
  const { window } = makeWindow(MIB);
  const eighth = WINDOW_BYTES_MIN / 8;
  const deliver = (nowMs: number, bytes: number): boolean => {
    window.receive(bytes);
    return window.deliver(nowMs, bytes, 10);
  };
  window.ahead();
  assert.equal(deliver(1, eighth - 1), false);
  assert.equal(deliver(2, 1), true);
  window.grant();
  assert.equal(deliver(11, eighth - 1), false, 'the first round trip is over');
  assert.equal(deliver(12, 1), true, 'and nothing came ahead in the second one yet');
  window.grant();
  assert.equal(deliver(22, eighth), false, 'nothing has in all of it: one lane carries the stream');
});

/** The sender uses all of its credit on a path of 100 KiB/ms, and answers new credit after so long. */
function answerAfter(window: ReceiveWindow, answerMs: number, fromMs: number): void {
  for (let nowMs = fromMs; nowMs < fromMs + 1000; nowMs += answerMs) {
    window.answered(nowMs);
    nowMs += (window.limit - window.received) / (100 * KIB);
    fill(window, nowMs, 0.2);
  }
}

test('it holds what comes in the time that a busy sender takes to answer credit', () => {
  const { window } = makeWindow(64 * MIB);
  window.start();
  answerAfter(window, 0.2, 0);
  assert.ok(window.window < 200 * KIB, `${window.window} where it answers at once`);
  answerAfter(window, 5, 2000);
  assert.ok(window.window > 500 * KIB, `${window.window} where it takes 5 ms`);
  answerAfter(window, 0.2, 4000);
  assert.ok(window.window < 500 * KIB, `${window.window} once it is fast again`);
});

test('a sender that had nothing to send for a while gets no larger window for that', () => {
  const { window } = makeWindow(64 * MIB);
  window.start();
  answerAfter(window, 0.2, 0);
  const before = window.window;
  answerAfter(window, 30, 2000);
  assert.ok(window.window <= before);
});
