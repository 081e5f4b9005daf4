import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LaneSet } from '../../src/session/lane-set.ts';
import type { LaneState } from '../../src/session/lane-state.ts';
import { Scheduler } from '../../src/session/scheduler.ts';
import { NOWHERE, type Stream } from '../../src/session/stream.ts';

test('streams are stale from the loss of their home until they find one or are gone', () => {
  const lanes = new LaneSet();
  const lane = { streams: 0, scheduler: new Scheduler() } as LaneState;
  const [one, two] = [1, 3].map((id) => ({ id, lane: undefined, spread: NOWHERE }) as Stream);
  lanes.settle(one!, undefined);
  lanes.settle(two!, lane);
  assert.deepEqual([[...lanes.stale], lane.streams], [[one], 1]);
  lanes.settle(two!, undefined);
  lanes.settle(two!, undefined);
  lanes.settle(one!, lane);
  assert.deepEqual([[...lanes.stale], lane.streams], [[two], 1]);
  lanes.forget(two!);
  lanes.forget(one!);
  assert.deepEqual([[...lanes.stale], lane.streams], [[], 0]);
});
