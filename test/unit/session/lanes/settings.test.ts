import assert from 'node:assert/strict';
import { test } from 'node:test';
import { settingDifferences } from '../../../../packages/proto/src/session/lanes/settings.ts';

const SETTINGS = { heartbeat_interval: '5s', heartbeat_misses: '3' };

test('equal settings have no difference, in whatever order', () => {
  const there = { heartbeat_misses: '3', heartbeat_interval: '5s' };
  assert.deepEqual(settingDifferences(SETTINGS, there, 'red/red1'), []);
});

test('every difference names the setting and both values', () => {
  const there = { heartbeat_interval: '3s', heartbeat_misses: '4' };
  assert.deepEqual(settingDifferences(SETTINGS, there, 'red/red1'), [
    'heartbeat_interval: 5s here, 3s at red/red1',
    'heartbeat_misses: 3 here, 4 at red/red1',
  ]);
});

test('a setting that one side does not have differs', () => {
  const there = { ...SETTINGS, lanes: '2' };
  assert.deepEqual(settingDifferences(SETTINGS, there, 'red/red1'), [
    'lanes: not set here, 2 at red/red1',
  ]);
  assert.deepEqual(settingDifferences(there, SETTINGS, 'red/red1'), [
    'lanes: 2 here, not set at red/red1',
  ]);
});

test('names of a hostile peer do not reach the prototype', () => {
  assert.deepEqual(settingDifferences({}, { constructor: 'x' }, 'red/red1'), [
    'constructor: not set here, x at red/red1',
  ]);
  assert.deepEqual(settingDifferences({}, JSON.parse('{"__proto__":"x"}'), 'red/red1'), [
    '__proto__: not set here, x at red/red1',
  ]);
});
