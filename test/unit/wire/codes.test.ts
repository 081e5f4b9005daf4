import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  LANE_CODES,
  laneCodeName,
  STREAM_CODES,
  streamCodeName,
} from '../../../packages/proto/src/wire/codes.ts';

test('every code has one number and every number its code', () => {
  for (const [name, number] of Object.entries(LANE_CODES)) {
    assert.equal(laneCodeName(number), name);
  }
  for (const [name, number] of Object.entries(STREAM_CODES)) {
    assert.equal(streamCodeName(number), name);
  }
  for (const codes of [LANE_CODES, STREAM_CODES]) {
    const numbers = Object.values(codes);
    assert.equal(new Set(numbers).size, numbers.length);
  }
});

test('codes that peers rely on keep their numbers', () => {
  assert.equal(LANE_CODES['unknown-session'], 14);
  assert.equal(LANE_CODES['lane-done'], 15);
  assert.equal(LANE_CODES['resume-timeout'], 16);
  assert.equal(STREAM_CODES['resume-mismatch'], 12);
});

test('a code of a later version is internal', () => {
  assert.equal(laneCodeName(9_999), 'internal');
  assert.equal(streamCodeName(9_999), 'internal');
});
