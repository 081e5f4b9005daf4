import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compareSettings, describeDifference, sharedSettings } from '../../src/fabric/settings.ts';

const FABRIC = { heartbeatIntervalMs: 5000, heartbeatMisses: 3, resumeTimeMs: 60_000 };

test('shared settings carry the names and values of routy.toml', () => {
  assert.deepEqual(sharedSettings(FABRIC), {
    heartbeat_interval: '5s',
    heartbeat_misses: '3',
    resume_time: '60s',
  });
});

test('equal settings have no difference, however they were written', () => {
  assert.deepEqual(compareSettings(sharedSettings(FABRIC), sharedSettings({ ...FABRIC })), []);
});

test('a difference is named with both values', () => {
  const differences = compareSettings(
    sharedSettings(FABRIC),
    sharedSettings({ ...FABRIC, heartbeatIntervalMs: 3000 }),
  );
  assert.deepEqual(differences, [{ name: 'heartbeat_interval', local: '5s', remote: '3s' }]);
  assert.equal(
    describeDifference(differences[0]!, 'red/red1'),
    'heartbeat_interval: here 5s, at red/red1 3s',
  );
});

test('a setting only one side sends is a difference on both ends', () => {
  const remote = { ...sharedSettings(FABRIC), frame_size: '64KiB' };
  assert.deepEqual(
    compareSettings(sharedSettings(FABRIC), remote).map((difference) =>
      describeDifference(difference, 'red/red1'),
    ),
    ['frame_size: here not set, at red/red1 64KiB'],
  );
  assert.deepEqual(
    compareSettings(remote, sharedSettings(FABRIC)).map((difference) =>
      describeDifference(difference, 'red/red1'),
    ),
    ['frame_size: here 64KiB, at red/red1 not set'],
  );
});

test('names of the object prototype are settings like any other', () => {
  assert.deepEqual(compareSettings({}, { constructor: 'x' }), [
    { name: 'constructor', local: undefined, remote: 'x' },
  ]);
  assert.deepEqual(compareSettings({}, JSON.parse('{"__proto__":"x"}')), [
    { name: '__proto__', local: undefined, remote: 'x' },
  ]);
});
