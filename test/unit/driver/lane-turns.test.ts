import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LaneLink } from '../../../packages/link/src/driver/lanes/lane-link.ts';
import { LaneTurns } from '../../../packages/link/src/driver/lanes/lane-turns.ts';
import { PeerScheduler } from '../../../packages/link/src/driver/peer-scheduler.ts';
import { FakeLane } from './fake-lane.ts';

const PEER = { fabric: 'f', site: 'gray', node: 'gray1' };

/** Lanes 1 to `count` of a session that has something now and then, and who has taken it, in order. */
function make(count: number) {
  const scheduler = new PeerScheduler();
  const lanes = Array.from({ length: count }, () => new FakeLane(PEER));
  const links = lanes.map((lane, index) => {
    const link = new LaneLink(lane, scheduler.of('gray/gray1'), () => undefined);
    link.laneId = index + 1;
    return link;
  });
  const turns = new LaneTurns();
  const taken: number[] = [];
  let left = 0;
  const source = {
    pollTransmit: (laneId: number) => {
      if (left === 0) return undefined;
      left--;
      taken.push(laneId);
      return [new Uint8Array(1)];
    },
  };
  /** So many pieces, each of which one lane takes at once. */
  const bring = (pieces: number): number[] => {
    left = pieces;
    turns.transmit(links, source);
    return taken.splice(0);
  };
  return { bring, lanes, links };
}

test('what comes piece by piece goes to all lanes in turn, however many there are', () => {
  for (const count of [1, 2, 3, 4, 7]) {
    const { bring } = make(count);
    const takers = Array.from({ length: 3 * count }, () => bring(1));
    const expected = Array.from({ length: 3 * count }, (_, n) => [(n % count) + 1]);
    assert.deepEqual(takers, expected, `${count} lanes`);
  }
});

test('the neighbour begins next, whether there was enough for one round of turns or for more', () => {
  const { bring } = make(4);
  assert.deepEqual(bring(6), [1, 2, 3, 4, 1, 2]);
  assert.deepEqual(bring(2), [2, 3]);
  assert.deepEqual(bring(0), []);
  assert.deepEqual(bring(3), [3, 4, 1], 'nobody has begun when there was nothing');
});

test('lanes that are full or gone are passed over', () => {
  const { bring, lanes, links } = make(4);
  lanes[0]!.takes = false;
  links[2]!.gone = true;
  assert.deepEqual(bring(4), [1, 2, 4, 2]);
  assert.equal(links[0]!.full, true);
  lanes[0]!.drain();
  assert.deepEqual(bring(3), [2, 4, 1]);
});
