import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  CalmAfterLoad,
  Growth,
} from '../../../packages/routy/src/cli/running/garbage-collector.ts';

const IDLE = { streams: 10, bytes: 1_000_000 };

function answers(calm: CalmAfterLoad, work: readonly { streams: number; bytes: number }[]) {
  return work.map((each) => calm.collectionDue(each));
}

test('a node that was never busy is left alone', () => {
  const calm = new CalmAfterLoad(IDLE);
  const quiet = Array.from({ length: 10 }, (_, i) => ({ streams: 10 + i, bytes: 1e6 + i * 1e6 }));
  assert.ok(!answers(calm, quiet).includes(true));
});

test('after a load of bytes or of streams it collects three times, not during it', () => {
  for (const load of [
    { streams: 0, bytes: 1e9 },
    { streams: 5_000, bytes: 0 },
  ]) {
    const calm = new CalmAfterLoad({ streams: 0, bytes: 0 });
    const twice = { streams: 2 * load.streams, bytes: 2 * load.bytes };
    assert.deepEqual(answers(calm, [load, twice]), [false, false]);
    assert.deepEqual(answers(calm, Array(5).fill(twice)), [true, true, true, false, false]);
  }
});

test('the last collection of a calm is known, and a load in between begins another', () => {
  const calm = new CalmAfterLoad({ streams: 0, bytes: 0 });
  const load = { streams: 0, bytes: 1e9 };
  const more = { streams: 0, bytes: 2e9 };
  const over = [load, load, load, more, more, more, more].map((work) => {
    calm.collectionDue(work);
    return calm.isOver;
  });
  assert.deepEqual(over, [false, false, false, false, false, false, true]);
});

test('a session that ends takes its bytes out of the sum, which is no load', () => {
  const calm = new CalmAfterLoad({ streams: 0, bytes: 1e12 });
  assert.deepEqual(answers(calm, [IDLE, IDLE]), [false, false]);
});

const MIB = 1024 * 1024;

function grown() {
  const growth = new Growth();
  return {
    due: (ms: number, rss: number, held: number) =>
      growth.collectionDue(ms, rss * MIB, () => held * MIB),
    left: (ms: number, rss: number, held: number) => growth.collected(ms, rss * MIB, held * MIB),
  };
}

test('memory that has grown is collected under a load too, not again and again where it is in use', () => {
  const { due, left } = grown();
  assert.equal(due(0, 400, 250), false, 'what sessions hold is limited elsewhere');
  assert.equal(due(250, 400, 200), true);
  left(300, 395, 20);
  for (const [ms, rss] of [
    [1300, 320],
    [2300, 220],
  ] as const) {
    assert.equal(due(ms - 50, 390, 300), false);
    assert.equal(due(ms, 390, 300), true, 'three times: one gives little back');
    left(ms, rss, 20);
  }
  assert.equal(due(9000, 231, 0), false);
  assert.equal(due(9250, 233, 0), true);
  for (const ms of [9300, 10_300, 11_300]) left(ms, 100, 20);
  assert.equal(due(12_000, 150, 0), false);
  assert.equal(due(12_250, 170, 0), true);
});

test('what grows on meanwhile does not wait for the next of the row', () => {
  const { due, left } = grown();
  assert.equal(due(0, 170, 0), true);
  left(30, 150, 0);
  assert.equal(due(250, 181, 0), false);
  assert.equal(due(500, 183, 0), true);
  left(530, 150, 0);
  assert.equal(due(1000, 150, 0), false);
});
