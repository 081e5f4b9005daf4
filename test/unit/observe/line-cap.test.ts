import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LineCap } from '../../../packages/routy/src/observe/line-cap.ts';

const MINUTE = 60_000;

function cap(): LineCap<string> {
  return new LineCap({ intervalMs: MINUTE, event: 2, all: 3 });
}

test('so many lines of an event are written in a minute, the rest is counted', () => {
  const lines = cap();
  const written = ['1', '2', '3', '4'].map((text) => lines.admits(0, 'a', text));
  assert.deepEqual(written, [true, true, false, false]);
  assert.deepEqual(lines.due(MINUTE - 1), []);
  assert.deepEqual(lines.due(MINUTE), [{ event: 'a', count: 2, value: '4' }]);
  assert.equal(lines.admits(MINUTE + 1, 'a', '5'), true);
});

test('so many of all events, but one of each in any case', () => {
  const lines = cap();
  const written = ['a', 'a', 'b', 'b', 'c', 'c'].map((event) => lines.admits(0, event, event));
  assert.deepEqual(written, [true, true, true, false, true, false]);
  assert.deepEqual(
    lines.due(MINUTE).map(({ event, count }) => [event, count]),
    [
      ['b', 1],
      ['c', 1],
    ],
  );
});

test('a line that tells of many counts as many when it is not written', () => {
  const lines = cap();
  for (const text of ['1', '2']) lines.admits(0, 'a', text, 10);
  lines.admits(0, 'a', '3', 10);
  assert.deepEqual(lines.flush(1), [{ event: 'a', count: 10, value: '3' }]);
  assert.deepEqual(lines.flush(2), []);
});

test('the last one of what is gone is not told', () => {
  const lines = cap();
  for (const text of ['1', '2', 'gone']) lines.admits(0, 'a', text);
  lines.forget((text) => text === 'gone');
  assert.deepEqual(lines.flush(1), [{ event: 'a', count: 1, value: undefined }]);
});
