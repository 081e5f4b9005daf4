import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Budget } from '../../../packages/proto/src/session/flow/budget.ts';
import {
  ReceiveWindow,
  WINDOW_BYTES_MIN,
} from '../../../packages/proto/src/session/flow/receive-window.ts';

const WINDOW_MAX = 256 * 1024;

type Step =
  | { readonly kind: 'receive' | 'deliver'; readonly share: number }
  | { readonly kind: 'wait'; readonly ms: number }
  | { readonly kind: 'pressure'; readonly share: number };

const share = fc.oneof(fc.constant(1), fc.double({ min: 0, max: 1, noNaN: true }));

const step: fc.Arbitrary<Step> = fc.oneof(
  share.map((value) => ({ kind: 'receive' as const, share: value })),
  share.map((value) => ({ kind: 'deliver' as const, share: value })),
  fc.integer({ min: 0, max: 50 }).map((ms) => ({ kind: 'wait' as const, ms })),
  share.map((value) => ({ kind: 'pressure' as const, share: value })),
);

/** One window beside others that use the same pool. */
class Bench {
  readonly pool: Budget;
  readonly window: ReceiveWindow;
  nowMs = 0;
  others = 0;
  granted: number;

  constructor(poolBytes: number) {
    this.pool = new Budget(poolBytes);
    assert.ok(this.pool.tryTake(WINDOW_BYTES_MIN));
    this.window = new ReceiveWindow(WINDOW_BYTES_MIN, WINDOW_MAX, this.pool, 0);
    this.window.start();
    this.granted = this.window.limit;
  }

  run(each: Step, rttMs: number): void {
    const { window } = this;
    if (each.kind === 'wait') this.nowMs += each.ms;
    if (each.kind === 'receive') {
      const length = Math.floor(each.share * (window.limit - window.received));
      window.answered(this.nowMs);
      window.receive(length);
    }
    if (each.kind === 'deliver') {
      const length = Math.floor(each.share * (window.received - window.delivered));
      if (window.deliver(this.nowMs, length, rttMs)) window.grant();
    }
    if (each.kind === 'pressure') this.#press(each.share);
    this.#check();
  }

  #press(part: number): void {
    this.pool.release(this.others);
    const bytes = Math.floor(part * (this.pool.limit - this.pool.used));
    this.others = this.pool.tryTake(bytes) ? bytes : 0;
  }

  #check(): void {
    const { window, pool } = this;
    assert.ok(window.limit >= this.granted, 'credit never shrinks');
    this.granted = window.limit;
    assert.ok(window.delivered <= window.received && window.received <= window.limit);
    assert.ok(window.limit - window.delivered <= window.window, 'no more granted than held');
    assert.ok(window.window >= WINDOW_BYTES_MIN && window.window <= WINDOW_MAX);
    assert.equal(pool.used, this.others + window.window, 'every byte is accounted for');
    assert.ok(pool.used <= pool.limit);
    const used = window.window - (window.limit - window.delivered);
    assert.ok(used * 2 < window.window, 'half a window is granted anew at once');
  }
}

test('credit never shrinks, never exceeds the window, and the pool knows every byte', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: WINDOW_BYTES_MIN, max: 1024 * 1024 }),
      fc.integer({ min: 0, max: 20 }),
      fc.array(step, { maxLength: 200, size: 'large' }),
      (poolBytes, rttMs, steps) => {
        const bench = new Bench(poolBytes);
        for (const each of steps) bench.run(each, rttMs);
        bench.window.close();
        assert.equal(bench.pool.used, bench.others);
      },
    ),
    { numRuns: 200 },
  );
});
