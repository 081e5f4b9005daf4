import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BytesInFlight } from '../../../../packages/proto/src/session/flow/bytes-in-flight.ts';
import type { StreamLane } from '../../../../packages/proto/src/session/streams/stream.ts';

test('bytes count for their lane until the peer has them and all before them', () => {
  const flight = new BytesInFlight();
  const [one, two] = [{} as StreamLane, {} as StreamLane];
  assert.deepEqual([flight.on(one), flight.empty], [0, true]);
  flight.sent(one, 10, 10);
  flight.sent(two, 30, 20);
  flight.sent(one, 35, 5);
  assert.deepEqual([flight.on(one), flight.on(two)], [15, 20]);
  flight.acknowledged(29);
  assert.deepEqual([flight.on(one), flight.on(two)], [5, 20], 'the second piece not wholly');
  flight.acknowledged(30);
  assert.deepEqual([flight.on(one), flight.on(two), flight.empty], [5, 0, false]);
  flight.acknowledged(35);
  assert.deepEqual([flight.on(one), flight.empty], [0, true]);
});
