import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dataPlane } from '../../../packages/routy/src/node/data-plane.ts';

test('who does not ask for the native plane has the portable one, and nothing is loaded for it', () => {
  const load = () => assert.fail('it was loaded');
  for (const wanted of ['auto', 'portable'] as const) {
    assert.deepEqual(dataPlane(wanted, load).status, { inUse: 'portable', reason: null });
  }
});

test('where the native plane cannot be had the portable one is used, and says why', () => {
  const plane = dataPlane('native', () => ({ missing: 'koffi does not load' }));
  assert.deepEqual(plane.status, { inUse: 'portable', reason: 'koffi does not load' });
});
