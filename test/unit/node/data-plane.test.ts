import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dataPlane, planeStatus } from '../../../packages/routy/src/node/data-plane.ts';

test('the plane is chosen by what is configured and by what this machine offers', () => {
  const none = 'koffi is not installed';
  const chosen = {
    auto: [planeStatus('auto', null), planeStatus('auto', none)],
    portable: [planeStatus('portable', null), planeStatus('portable', none)],
    native: [planeStatus('native', null), planeStatus('native', none)],
  };
  const portable = { inUse: 'portable', reason: null };
  assert.deepEqual(chosen, {
    auto: [
      { configured: 'auto', ...portable },
      { configured: 'auto', ...portable },
    ],
    portable: [
      { configured: 'portable', ...portable },
      { configured: 'portable', ...portable },
    ],
    native: [
      { configured: 'native', inUse: 'native', reason: null },
      { configured: 'native', inUse: 'portable', reason: none },
    ],
  });
});

test('who does not ask for the native plane has the portable one, and nothing is loaded for it', async () => {
  const load = () => assert.fail('it was loaded');
  for (const configured of ['auto', 'portable'] as const) {
    const { status } = await dataPlane(configured, load);
    assert.deepEqual(status, { configured, inUse: 'portable', reason: null });
  }
});

test('where the native plane cannot be had the portable one is used, and says why', async () => {
  const { status } = await dataPlane('native', () => ({ missing: 'koffi does not load' }));
  assert.deepEqual(status, {
    configured: 'native',
    inUse: 'portable',
    reason: 'koffi does not load',
  });
});
