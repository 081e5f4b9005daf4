import { describe, test } from 'node:test';
import { laneCompliance } from '../support/lane-compliance.ts';
import { lanePair, nativeLanes, portableLanes } from '../support/native-lanes.ts';
import { planeMissing, testPlane } from '../support/native-plane.ts';
import { until } from './node-support.ts';

describe('native lanes', { timeout: 120_000, skip: planeMissing }, () => {
  laneCompliance('native to native', () => lanePair(nativeLanes, nativeLanes));
  laneCompliance('native to portable', () => lanePair(nativeLanes, portableLanes));
  laneCompliance('portable to native', () => lanePair(portableLanes, nativeLanes));

  test('leave nothing behind', async () => {
    const { loop, slabs } = testPlane();
    await until('nothing is watched', () => loop.watched === 0);
    await until('no slab is held', () => slabs.held === 0);
  });
});
