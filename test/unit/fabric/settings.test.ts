import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { sharedSettings } from '../../../packages/routy/src/fabric/settings.ts';

test('shared settings have the names of routy.toml and one canonical form of each value', () => {
  const settings = { heartbeatIntervalMs: 5000, heartbeatMisses: 3, resumeTimeMs: 60_000 };
  assert.deepEqual(sharedSettings(settings), {
    heartbeat_interval: '5s',
    heartbeat_misses: '3',
    resume_time: '60s',
  });
});

test('durations are written as the vectors say', () => {
  const file = readFileSync(new URL('../../vectors/durations.json', import.meta.url), 'utf8');
  const { vectors } = JSON.parse(file) as { vectors: { ms: number; text: string }[] };
  assert.ok(vectors.length > 0);
  for (const { ms, text } of vectors) {
    const settings = { heartbeatIntervalMs: 5000, heartbeatMisses: 3, resumeTimeMs: ms };
    assert.equal(sharedSettings(settings).resume_time, text);
  }
});
