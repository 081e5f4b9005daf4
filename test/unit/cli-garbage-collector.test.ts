import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CalmAfterLoad, Growth } from '../../packages/routy/src/cli/running/garbage-collector.ts';

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

test('memory that has grown is collected under a load too, not again and again where it is in use', () => {
  const MIB = 1024 * 1024;
  const growth = new Growth();
  const due = (rss: number, held: number) => growth.collectionDue(rss * MIB, () => held * MIB);
  const left = (rss: number, held: number) => growth.collected(rss * MIB, held * MIB);
  assert.equal(due(400, 250), false, 'what sessions hold is limited elsewhere');
  assert.equal(due(400, 200), true);
  for (const rss of [395, 320, 220]) {
    assert.equal(due(400, 300), true, 'three times: one gives little back');
    left(rss, 20);
  }
  assert.equal(due(231, 0), false);
  assert.equal(due(233, 0), true);
  for (const rss of [200, 150, 100]) left(rss, 20);
  assert.equal(due(150, 0), false);
  assert.equal(due(170, 0), true);
});
