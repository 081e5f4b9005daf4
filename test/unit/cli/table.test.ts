import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  bytesText,
  columns,
  countText,
  msText,
  spanText,
} from '../../../packages/routy/src/cli/text/table.ts';

test('columns are as wide as their widest cell, without blanks at the end', () => {
  assert.deepEqual(
    columns(
      [
        ['a', 'bbb', 'c'],
        ['aaaa', 'b', ''],
      ],
      '> ',
    ),
    ['> a     bbb  c', '> aaaa  b'],
  );
  assert.deepEqual(columns([]), []);
});

test('spans have at most two units', () => {
  const cases: [number, string][] = [
    [-5, '0 s'],
    [0, '0 s'],
    [400, '0 s'],
    [1_000, '1 s'],
    [61_000, '1 min 1 s'],
    [3_600_000, '1 h'],
    [3_660_000, '1 h 1 min'],
    [90_000_000, '1 d 1 h'],
    [86_400_000 * 365, '365 d'],
  ];
  for (const [ms, text] of cases) assert.equal(spanText(ms), text);
});

test('bytes, milliseconds and counts are for people', () => {
  assert.equal(bytesText(0), '0 B');
  assert.equal(bytesText(1023), '1023 B');
  assert.equal(bytesText(1536), '1.5 KiB');
  assert.equal(bytesText(268_435_456), '256 MiB');
  assert.equal(bytesText(2 ** 62), '4096 PiB');
  assert.equal(msText(0.314), '0.31 ms');
  assert.equal(msText(-12.34), '-12.3 ms');
  assert.equal(msText(2_100), '2.1 s');
  assert.equal(countText(1, 'stream'), '1 stream');
  assert.equal(countText(0, 'stream'), '0 streams');
  assert.equal(countText(2, 'entry', 'entries'), '2 entries');
});
