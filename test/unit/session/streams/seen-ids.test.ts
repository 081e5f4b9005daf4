import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SeenIds } from '../../../../packages/proto/src/session/streams/seen-ids.ts';
import { ProtocolError } from '../../../../packages/proto/src/wire/protocol-error.ts';

function refusal(ids: SeenIds, id: number): string {
  try {
    ids.add(id);
  } catch (error) {
    assert.ok(error instanceof ProtocolError);
    assert.equal(error.code, 'stream-id');
    return error.message;
  }
  return 'taken';
}

for (const first of [1, 2] as const) {
  test(`ids from ${first} on: in order they only raise the watermark`, () => {
    const ids = new SeenIds(first);
    assert.equal(ids.watermark, 0);
    for (let id = first; id < 100; id += 2) {
      assert.ok(!ids.has(id));
      assert.ok(ids.add(id));
      assert.equal(ids.watermark, id);
      assert.ok(!ids.add(id), 'seen before');
    }
    assert.deepEqual([...ids.above()], []);
  });

  test(`ids from ${first} on: one that overtakes waits above the watermark`, () => {
    const ids = new SeenIds(first);
    assert.ok(ids.add(first + 4));
    assert.ok(!ids.add(first + 4), 'seen before');
    assert.ok(ids.add(first + 2));
    assert.equal(ids.watermark, 0);
    assert.deepEqual(new Set(ids.above()), new Set([first + 2, first + 4]));
    assert.deepEqual(
      [ids.has(first), ids.has(first + 2), ids.has(first + 6)],
      [false, true, false],
    );
    assert.ok(ids.add(first));
    assert.equal(ids.watermark, first + 4);
    assert.deepEqual([...ids.above()], []);
  });

  test(`ids from ${first} on: ids of the other side, and 0, are refused`, () => {
    const ids = new SeenIds(first);
    ids.add(first);
    for (const id of [0, 3 - first, 99 + first]) {
      assert.equal(refusal(ids, id), `stream ${id} is not the peer's to open`);
      assert.ok(!ids.has(id));
    }
    assert.equal(ids.watermark, first);
  });
}

test('at most 65536 ids overtake one that is missing', () => {
  const ids = new SeenIds(1);
  const top = 1 + 2 * 65_536;
  for (let id = 3; id <= top; id += 2) assert.ok(ids.add(id));
  const message = `stream ${top + 2} while 65536 others wait for stream 1`;
  assert.equal(refusal(ids, top + 2), message);
  assert.ok(!ids.add(top), 'one that was seen is no new burden');
  assert.ok(ids.add(1));
  assert.equal(ids.watermark, top);
  assert.ok(ids.add(top + 2));
});
