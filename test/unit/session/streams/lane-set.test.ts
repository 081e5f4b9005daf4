import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Scheduler } from '../../../../packages/proto/src/session/lanes/scheduler.ts';
import { LaneSet } from '../../../../packages/proto/src/session/streams/lane-set.ts';
import type { StreamLane } from '../../../../packages/proto/src/session/streams/stream.ts';
import { NOWHERE, type Stream } from '../../../../packages/proto/src/session/streams/stream.ts';

test('streams are stale from the loss of their home until they find one or are gone', () => {
  const lanes = new LaneSet();
  const lane = { streams: 0, scheduler: new Scheduler<Stream>() } as StreamLane;
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
