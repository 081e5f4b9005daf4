import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mayOpen } from '../../../packages/routy/src/fabric/policy.ts';

const GRAY1 = { fabric: 'f', site: 'gray', node: 'gray1' };

test('nobody may open a service by default', () => {
  assert.equal(mayOpen([], GRAY1), false);
});

test('a site entry lets all its nodes in, a node entry that node only', () => {
  assert.equal(mayOpen(['gray'], GRAY1), true);
  assert.equal(mayOpen(['gray'], { ...GRAY1, node: 'gray2' }), true);
  assert.equal(mayOpen(['gray/gray1'], GRAY1), true);
  assert.equal(mayOpen(['gray/gray1'], { ...GRAY1, node: 'gray2' }), false);
  assert.equal(mayOpen(['red', 'gray/gray1'], GRAY1), true);
});

test('nothing but an exact entry matches', () => {
  for (const entry of ['*', 'gra', 'grayish', 'GRAY', 'gray/', 'gray/*', '/gray1', 'gray1', '']) {
    assert.equal(mayOpen([entry], GRAY1), false, entry);
  }
});

test('an identity that spells an entry in another way is not let in', () => {
  assert.equal(mayOpen(['gray/gray1'], { site: 'gray/gray1', node: '' }), false);
  assert.equal(mayOpen(['gray/gray1'], { site: 'gray/gray1', node: 'x' }), false);
});
