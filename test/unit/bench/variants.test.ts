import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findVariants, isRouty, variantNames } from '../../../bench/tunnels/variants.ts';

function names(...variants: readonly (readonly [string, 'portable' | 'native' | undefined])[]) {
  return variantNames(variants.map(([version, plane]) => ({ version, plane })));
}

test('the first is routy, others are named by that in which they differ from it', () => {
  assert.deepEqual(names(['20.20.2', undefined]), ['routy']);
  assert.deepEqual(names(['20.20.2', undefined], ['24.21.0', undefined]), ['routy', 'routy@24']);
  assert.deepEqual(names(['24.0.0', undefined], ['24.21.0', undefined], ['22.1.0', undefined]), [
    'routy',
    'routy@24.21.0',
    'routy@22',
  ]);
  assert.deepEqual(names(['20.20.2', 'native']), ['routy']);
  assert.deepEqual(
    names(
      ['20.20.2', 'portable'],
      ['20.20.2', 'native'],
      ['24.21.0', 'portable'],
      ['24.21.0', 'native'],
    ),
    ['routy', 'routy-native', 'routy@24', 'routy@24-native'],
  );
  assert.throws(
    () => names(['20.20.2', 'native'], ['20.20.2', 'native']),
    /Node 20\.20\.2 is given twice/,
  );
});

test('Routy on every Node and plane is Routy, the build before is not', () => {
  const peers = ['routy', 'routy@24', 'routy-native', 'routy@24-native', 'before', 'routy2', 'ssh'];
  assert.deepEqual(peers.filter(isRouty), peers.slice(0, 4));
});

test('an executable is asked for its version, and has every plane', () => {
  const here = { node: process.execPath, version: process.versions.node };
  assert.deepEqual(findVariants([process.execPath], []), [
    { ...here, name: 'routy', plane: undefined },
  ]);
  assert.deepEqual(findVariants([process.execPath], ['portable', 'native']), [
    { ...here, name: 'routy', plane: 'portable' },
    { ...here, name: 'routy-native', plane: 'native' },
  ]);
});

test('what is no Node is refused before anything is measured', () => {
  assert.throws(() => findVariants(['/bin/echo'], []), /--node: \/bin\/echo is no Node/);
  assert.throws(
    () => findVariants(['/nowhere/node'], []),
    /--node: \/nowhere\/node cannot be run; give the path of a node executable/,
  );
});
