import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findRuntimes, isRouty, runtimeNames } from '../../bench/tunnels/runtimes.ts';

test('the first Node is routy, others are named by as much of their version as tells them apart', () => {
  assert.deepEqual(runtimeNames(['20.20.2']), ['routy']);
  assert.deepEqual(runtimeNames(['20.20.2', '24.21.0']), ['routy', 'routy@24']);
  assert.deepEqual(runtimeNames(['24.0.0', '24.21.0', '22.1.0']), [
    ...['routy', 'routy@24.21.0', 'routy@22'],
  ]);
  assert.throws(() => runtimeNames(['20.20.2', '20.20.2']), /Node 20\.20\.2 is given twice/);
});

test('Routy on every Node is Routy, the build before is not', () => {
  assert.deepEqual(['routy', 'routy@24', 'before', 'ssh', 'routy2'].map(isRouty), [
    ...[true, true, false, false, false],
  ]);
});

test('an executable is asked for its version', () => {
  assert.deepEqual(findRuntimes([process.execPath]), [
    { name: 'routy', path: process.execPath, version: process.versions.node },
  ]);
});

test('what is no Node is refused before anything is measured', () => {
  assert.throws(() => findRuntimes(['/bin/echo']), /--node: \/bin\/echo is no Node/);
  assert.throws(
    () => findRuntimes(['/nowhere/node']),
    /--node: \/nowhere\/node cannot be run; give the path of a node executable/,
  );
});
