import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { policy, refused, rig } from './dial-rig.ts';

describe('dial scheduler, stopped and restarted', () => {
  test('what was stopped can be started again, without the failures before', async () => {
    const { scheduler, dials, lanes, timers } = rig();
    scheduler.start();
    for (let n = 1; n <= 3; n++) {
      await dials[n - 1]!.fail();
      timers.advance(n * 100);
    }
    scheduler.stop();
    assert.equal(scheduler.status.lastError, refused, 'why it was not up is still known');
    scheduler.start();
    assert.deepEqual([scheduler.status.attempts, scheduler.status.lastError], [0, undefined]);
    assert.equal(dials.length, 5);
    // The dial that was stopped ends only now, and not as the new one's failure or lane.
    await dials[3]!.fail();
    assert.equal(scheduler.status.state, 'dialling');
    const lane = await dials[4]!.succeed();
    assert.deepEqual(lanes, [lane]);
    scheduler.established();
    assert.equal(scheduler.status.state, 'up');
    scheduler.stop();
    scheduler.start();
    assert.equal(dials.length, 6);
    await dials[5]!.succeed();
    scheduler.established();
    timers.advance(60_000);
    scheduler.laneClosed();
    timers.advance(0);
    assert.equal(dials.length, 7);
    scheduler.stop();
    assert.equal(timers.pending, 0);
  });

  test('restart dials now and forgets the failures, whether it waits, was refused or is down', async () => {
    const { scheduler, dials, timers } = rig();
    scheduler.restart();
    assert.equal(dials.length, 1);
    for (const error of [refused, policy]) {
      await dials[dials.length - 1]!.fail(error);
      const before: number = dials.length;
      scheduler.restart();
      assert.equal(dials.length, before + 1);
      const { state, attempts, lastError, nextAttemptAt } = scheduler.status;
      assert.deepEqual([state, attempts], ['dialling', 0]);
      assert.deepEqual([lastError, nextAttemptAt], [undefined, undefined]);
    }
    timers.advance(100_000);
    assert.equal(dials.length, 3, 'a delay that was replaced still ran');
    scheduler.stop();
  });

  test('restart leaves a dial, a lane handed out and a lane that is up alone', async () => {
    const { scheduler, dials } = rig();
    scheduler.start();
    scheduler.restart();
    await dials[0]!.succeed();
    scheduler.restart();
    scheduler.established();
    scheduler.restart();
    assert.equal(dials.length, 1);
    assert.equal(dials[0]!.signal.aborted, false);
    assert.equal(scheduler.status.state, 'up');
    scheduler.stop();
  });

  test('restart does not make a loop of lanes that die young', async () => {
    const { scheduler, dials, timers } = rig({ stableMs: 1000 });
    const dieAfter = async (lastedMs: number) => {
      await dials[dials.length - 1]!.succeed();
      scheduler.established();
      timers.advance(lastedMs);
      scheduler.laneClosed();
      scheduler.restart();
    };
    scheduler.start();
    await dieAfter(10);
    assert.equal(dials.length, 2, 'one such death proves nothing');
    await dieAfter(10);
    assert.equal(dials.length, 2);
    assert.equal(scheduler.status.state, 'backoff');
    timers.advance(100);
    assert.equal(dials.length, 3);
    await dieAfter(1000);
    assert.equal(dials.length, 4);
    // A failure to dial is another matter than a lane that died.
    await dials[3]!.fail();
    scheduler.restart();
    assert.equal(dials.length, 5);
    scheduler.stop();
  });

  test('a stop in between does not make a loop of them either', async () => {
    const { scheduler, dials, timers, delays } = rig({ stableMs: 1000 });
    scheduler.start();
    for (let n = 0; n < 4; n++) {
      await dials[dials.length - 1]!.succeed();
      scheduler.established();
      timers.advance(10);
      scheduler.laneClosed();
      timers.advance(1000);
      // The lane that was to bring the session back is told that nobody knows it.
      await dials[dials.length - 1]!.succeed();
      scheduler.stop();
      scheduler.restart();
    }
    assert.deepEqual(
      delays.map(([attempt]) => attempt),
      [0, 1, 2, 3],
    );
    scheduler.stop();
  });

  test('a lane that had lasted when it was stopped ends the series of those that died young', async () => {
    const { scheduler, dials, timers, delays } = rig({ stableMs: 1000 });
    scheduler.start();
    for (const lastedMs of [10, 10, 1000]) {
      await dials[dials.length - 1]!.succeed();
      scheduler.established();
      timers.advance(lastedMs);
      if (lastedMs === 10) scheduler.laneClosed();
      timers.advance(500);
    }
    scheduler.stop();
    scheduler.start();
    await dials[dials.length - 1]!.succeed();
    scheduler.established();
    scheduler.laneClosed();
    assert.deepEqual(
      delays.map(([attempt]) => attempt),
      [0, 1, 0],
    );
    scheduler.stop();
  });
});
