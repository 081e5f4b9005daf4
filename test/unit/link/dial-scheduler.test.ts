import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { TcpAddress } from '../../../packages/proto/src/base/address.ts';
import { RoutyError } from '../../../packages/proto/src/base/errors.ts';
import { A, policy, refused, rig } from './dial-rig.ts';

const B: TcpAddress = { kind: 'tcp', host: 'b', port: 2 };

describe('dial scheduler', () => {
  test('dials at once when started, and is up when the session is', async () => {
    const { scheduler, dials, lanes, timers } = rig();
    assert.equal(scheduler.status.state, 'down');
    scheduler.start();
    scheduler.start();
    assert.equal(dials.length, 1);
    assert.equal(scheduler.status.state, 'dialling');
    timers.advance(40);
    const lane = await dials[0]!.succeed();
    assert.deepEqual(lanes, [lane]);
    assert.equal(scheduler.status.state, 'dialling');
    timers.advance(2);
    scheduler.established();
    assert.deepEqual(scheduler.status, {
      state: 'up',
      since: 42,
      attempts: 0,
      lastError: undefined,
      nextAttemptAt: undefined,
      address: A,
    });
  });

  test('failures wait longer and longer, for ever, and status says why and until when', async () => {
    const { scheduler, dials, timers, delays } = rig();
    scheduler.start();
    for (let n = 1; n <= 20; n++) {
      await dials[n - 1]!.fail();
      const { state, attempts, lastError, nextAttemptAt } = scheduler.status;
      assert.deepEqual([state, attempts, lastError], ['backoff', n, refused]);
      assert.equal(nextAttemptAt, timers.now() + n * 100);
      timers.advance(n * 100 - 1);
      assert.equal(dials.length, n);
      timers.advance(1);
      assert.equal(dials.length, n + 1);
      assert.equal(scheduler.status.nextAttemptAt, undefined);
    }
    assert.deepEqual(delays[19], [20, 'dial-refused']);
    scheduler.stop();
  });

  test('a session that was established is dialled again at once when its lane goes', async () => {
    const { scheduler, dials, timers, delays } = rig();
    scheduler.start();
    await dials[0]!.fail();
    timers.advance(100);
    await dials[1]!.succeed();
    scheduler.established();
    timers.advance(60_000);
    scheduler.laneClosed(new RoutyError('lane-reset', 'gone'));
    assert.deepEqual(delays[1], [0, 'lane-reset']);
    timers.advance(0);
    assert.equal(dials.length, 3);
    assert.equal(dials[2]!.at, 60_100);
    assert.equal(scheduler.status.lastError?.code, 'lane-reset');
    scheduler.stop();
  });

  test('a refusal right after connecting does not end the series of failures', async () => {
    const { scheduler, dials, timers, delays } = rig();
    scheduler.start();
    for (let n = 1; n <= 3; n++) {
      await dials[n - 1]!.succeed();
      scheduler.laneClosed(policy);
      assert.equal(scheduler.status.state, 'refused');
      assert.equal(scheduler.status.attempts, n);
      assert.equal(scheduler.status.lastError, policy);
      timers.advance(n * 100);
    }
    assert.deepEqual(delays, [
      [1, 'not-authorized'],
      [2, 'not-authorized'],
      [3, 'not-authorized'],
    ]);
    scheduler.stop();
  });

  test('a lane that closes without a word before its session counts as a failure', async () => {
    const { scheduler, dials } = rig();
    scheduler.start();
    await dials[0]!.succeed();
    scheduler.laneClosed();
    assert.equal(scheduler.status.attempts, 1);
    assert.equal(scheduler.status.lastError?.code, 'lane-closed');
    scheduler.stop();
  });

  test('sessions that die young are a series too, until one has lasted', async () => {
    const { scheduler, dials, timers, delays } = rig({ stableMs: 1000 });
    scheduler.start();
    for (const lastedMs of [10, 10, 10, 1000, 10]) {
      await dials[dials.length - 1]!.succeed();
      scheduler.established();
      timers.advance(lastedMs);
      scheduler.laneClosed();
      timers.advance(1000);
    }
    assert.deepEqual(
      delays.map(([attempt]) => attempt),
      [0, 1, 2, 0, 1],
    );
    scheduler.stop();
  });

  test('addresses are tried in turn without a delay between, then comes the delay', async () => {
    const { scheduler, dials, timers, delays } = rig({ addresses: [A, B] });
    scheduler.start();
    await dials[0]!.fail(new RoutyError('dial-timeout', 'a is silent'));
    assert.equal(dials[1]!.address, B);
    assert.equal(dials[1]!.at, 0);
    await dials[1]!.fail(new RoutyError('dial-refused', 'b refuses', { hint: 'look at b' }));
    const { state, attempts, lastError } = scheduler.status;
    assert.deepEqual([state, attempts], ['backoff', 1]);
    assert.equal(lastError?.code, 'dial-refused');
    assert.equal(lastError.message, 'a is silent; b refuses');
    assert.equal(lastError.hint, 'look at b');
    assert.equal(delays.length, 1);
    timers.advance(100);
    assert.equal(dials[2]!.address, A);
    scheduler.stop();
  });

  test('one of several addresses is hurried until a whole round has failed', async () => {
    const { scheduler, dials, timers } = rig({ addresses: [A, B] });
    scheduler.start();
    await dials[0]!.fail();
    await dials[1]!.fail();
    timers.advance(100);
    await dials[2]!.fail();
    await dials[3]!.succeed();
    scheduler.established();
    timers.advance(60_000);
    scheduler.laneClosed();
    timers.advance(0);
    const hurried = dials.map((dial) => dial.hurried);
    assert.deepEqual(hurried, [true, true, false, false, true]);
    scheduler.stop();
  });

  test('a single address is never hurried', async () => {
    const { scheduler, dials } = rig();
    scheduler.start();
    assert.equal(dials[0]!.hurried, false);
    scheduler.stop();
  });

  test('the address that worked is the first to be tried again', async () => {
    const { scheduler, dials, timers } = rig({ addresses: [A, B] });
    scheduler.start();
    await dials[0]!.fail();
    await dials[1]!.succeed();
    scheduler.established();
    assert.equal(scheduler.status.address, B);
    timers.advance(60_000);
    scheduler.laneClosed();
    timers.advance(0);
    assert.equal(dials[2]!.address, B);
    await dials[2]!.fail();
    assert.equal(dials[3]!.address, A);
    scheduler.stop();
  });

  test('out of descriptors: the other addresses are not tried as well', async () => {
    const { scheduler, dials } = rig({ addresses: [A, B] });
    scheduler.start();
    await dials[0]!.fail(new RoutyError('dial-exhausted', 'EMFILE'));
    assert.equal(dials.length, 1);
    assert.equal(scheduler.status.state, 'backoff');
    scheduler.stop();
  });

  test('wake dials now, once, and only when it was waiting', async () => {
    const { scheduler, dials, timers } = rig();
    scheduler.wake();
    assert.equal(dials.length, 0);
    scheduler.start();
    scheduler.wake();
    assert.equal(dials.length, 1);
    await dials[0]!.fail();
    scheduler.wake();
    assert.equal(dials.length, 2);
    timers.advance(100_000);
    assert.equal(dials.length, 2, 'the delay it replaced still ran');
    assert.equal(scheduler.status.attempts, 1);
    await dials[1]!.succeed();
    scheduler.established();
    scheduler.wake();
    assert.equal(dials.length, 2);
  });

  test('stop ends a dial under way, and a lane that comes all the same is closed', async () => {
    const { scheduler, dials, lanes, timers } = rig();
    scheduler.start();
    scheduler.stop();
    assert.equal(dials[0]!.signal.aborted, true);
    const lane = await dials[0]!.succeed();
    assert.equal(lanes.length, 0);
    assert.equal(lane.write([new Uint8Array(1)]), false, 'it is still open');
    assert.equal(scheduler.status.state, 'down');
    assert.equal(timers.pending, 0);
  });

  test('stop ends a delay, and what comes later changes nothing', async () => {
    const { scheduler, dials, timers } = rig();
    scheduler.start();
    await dials[0]!.fail();
    scheduler.stop();
    timers.advance(10_000);
    scheduler.laneClosed(policy);
    scheduler.established();
    scheduler.wake();
    assert.equal(dials.length, 1);
    assert.equal(scheduler.status.state, 'down');
    scheduler.start();
    assert.equal(dials.length, 2);
    scheduler.stop();
    await dials[1]!.fail();
    assert.equal(scheduler.status.state, 'down');
  });

  test('a lane is reported closed once, however often it is said', async () => {
    const { scheduler, dials, timers } = rig();
    scheduler.start();
    await dials[0]!.succeed();
    scheduler.laneClosed(policy);
    scheduler.laneClosed(policy);
    assert.equal(scheduler.status.attempts, 1);
    timers.advance(100);
    assert.equal(dials.length, 2);
    scheduler.stop();
  });

  test('an error that is no RoutyError is made one', async () => {
    const { scheduler, dials } = rig();
    scheduler.start();
    await dials[0]!.fail(new TypeError('oops'));
    assert.equal(scheduler.status.lastError?.code, 'dial-failed');
    assert.equal(scheduler.status.lastError.message, 'oops');
    scheduler.stop();
  });

  test('every change of state is told, in order', async () => {
    const { scheduler, dials, timers, states } = rig();
    scheduler.start();
    await dials[0]!.fail();
    timers.advance(100);
    await dials[1]!.succeed();
    scheduler.laneClosed(policy);
    timers.advance(200);
    await dials[2]!.succeed();
    scheduler.established();
    scheduler.stop();
    assert.deepEqual(states, [
      'dialling',
      'backoff',
      'dialling',
      'refused',
      'dialling',
      'up',
      'down',
    ]);
  });
});
