import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Pings } from '../../../packages/link/src/driver/pings.ts';
import { RoutyError } from '../../../packages/proto/src/base/errors.ts';

const sample = { rttMs: 1, clockOffsetMs: 0 };

/** Pings that are numbered from 1 on while `up`. */
function started() {
  const state = { up: true, sent: 0 };
  const pings = new Pings(() => {
    if (!state.up) return 0;
    state.sent += 1;
    return state.sent;
  });
  return { pings, state };
}

test('a ping whose lane is lost is sent again', async () => {
  const { pings } = started();
  const answer = pings.ping();
  pings.repeat();
  pings.answered(1, { ...sample, rttMs: 99 });
  pings.answered(2, sample);
  assert.deepEqual(await answer, sample);
});

test('without a lane a ping waits for one', async () => {
  const { pings, state } = started();
  state.up = false;
  const answer = pings.ping();
  state.up = true;
  pings.repeat();
  pings.answered(1, sample);
  assert.deepEqual(await answer, sample);
});

test('all that wait fail when the session ends', async () => {
  const { pings, state } = started();
  const sent = pings.ping();
  state.up = false;
  const unsent = pings.ping();
  pings.fail(new RoutyError('session-lost', 'gone'));
  await assert.rejects(sent, { code: 'session-lost' });
  await assert.rejects(unsent, { code: 'session-lost' });
});
