import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sharedSettings } from '../../packages/routy/src/fabric/settings.ts';

test('shared settings have the names of routy.toml and one canonical form of each value', () => {
  const settings = { heartbeatIntervalMs: 5000, heartbeatMisses: 3, resumeTimeMs: 60_000 };
  assert.deepEqual(sharedSettings(settings), {
    heartbeat_interval: '5s',
    heartbeat_misses: '3',
    resume_time: '60s',
  });
});

test('no time at all, one minute and one hour are written as the protocol says', () => {
  const of = (resumeTimeMs: number) =>
    sharedSettings({ heartbeatIntervalMs: 5000, heartbeatMisses: 3, resumeTimeMs }).resume_time;
  assert.deepEqual([0, 500, 60_000, 120_000, 3_600_000].map(of), [
    '0ms',
    '500ms',
    '60s',
    '2m',
    '60m',
  ]);
});
