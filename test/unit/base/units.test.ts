import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  formatDuration,
  formatSize,
  parseDuration,
  parseSize,
} from '../../../packages/proto/src/base/units.ts';

test('durations and sizes are read in their units', () => {
  const durations = { '500ms': 500, '5s': 5000, '10m': 600_000, '1h': 3_600_000, '0s': 0 };
  for (const [text, value] of Object.entries(durations)) {
    assert.deepEqual(parseDuration(text), { value });
  }
  const sizes = { '12B': 12, '64KiB': 65_536, '4MiB': 4_194_304, '1GiB': 1_073_741_824 };
  for (const [text, value] of Object.entries(sizes)) assert.deepEqual(parseSize(text), { value });
});

test('what is wrong with a text is said', () => {
  const expected = 'a duration such as "500ms", "5s", "10m" or "1h"';
  assert.deepEqual(parseDuration('5'), { error: `"5" has no unit; expected ${expected}` });
  assert.deepEqual(parseDuration('5 sec'), {
    error: 'unknown unit "sec" in "5 sec"; units are ms, s, m, h',
  });
  assert.deepEqual(parseDuration('-5s'), { error: `expected ${expected}, got "-5s"` });
  assert.deepEqual(parseDuration(''), { error: `expected ${expected}, got ""` });
  assert.deepEqual(parseSize('4MB'), {
    error: 'unknown unit "MB" in "4MB"; units are B, KiB, MiB, GiB',
  });
  assert.deepEqual(parseSize('999999999999GiB'), { error: '"999999999999GiB" is too large' });
});

test('values are written in the unit people expect', () => {
  const durations = { 500: '500ms', 1000: '1s', 5000: '5s', 60_000: '60s', 600_000: '10m' };
  for (const [ms, text] of Object.entries(durations))
    assert.equal(formatDuration(Number(ms)), text);
  assert.equal(formatDuration(0), '0ms');
  assert.equal(formatSize(4_194_304), '4MiB');
  assert.equal(formatSize(0), '0B');
});

test('what is written reads back', () => {
  fc.assert(
    fc.property(fc.nat(), (value) => {
      assert.deepEqual(parseDuration(formatDuration(value)), { value });
      assert.deepEqual(parseSize(formatSize(value)), { value });
    }),
  );
});
