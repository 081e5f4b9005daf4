import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Absorb } from '../../../../packages/proto/src/session/index.ts';
import { concat, dataFrame, openFrame } from '../../../support/session/frames.ts';
import { established, type Rig } from '../../../support/session/session-rig.ts';

/** A session in which the peer has opened stream 2. */
function opened(): Rig {
  const rig = established('dialler');
  rig.feed(openFrame(2, 100));
  rig.session.accept(2);
  rig.events();
  return rig;
}

/** Feeds frames whose memory is used again at once. */
function lend(rig: Rig, absorb: Absorb, ...frames: Uint8Array[]): void {
  const bytes = concat(frames);
  rig.session.handleBytes(rig.nowMs, rig.lane, bytes, absorb);
  bytes.fill(0xdb);
}

const data = (offset: number, text: string) => dataFrame(2, offset, Buffer.from(text));

function texts(rig: Rig): string[] {
  return rig
    .events()
    .map((event) => (event.kind === 'data' ? String(Buffer.from(event.bytes)) : event.kind));
}

test('bytes that are only lent are copied where nobody absorbs them', () => {
  const rig = opened();
  lend(rig, () => 0, data(0, 'one'), data(3, 'two'));
  assert.deepEqual(texts(rig), ['one', 'two']);
});

test('bytes that were absorbed are no event, the rest of them is', () => {
  const rig = opened();
  const absorbed: string[] = [];
  const absorb: Absorb = (stream, bytes) => {
    absorbed.push(`${stream} ${Buffer.from(bytes)}`);
    return absorbed.length === 1 ? bytes.length : 2;
  };
  lend(rig, absorb, data(0, 'whole'), data(5, 'partly'));
  assert.deepEqual(absorbed, ['2 whole', '2 partly']);
  assert.deepEqual(texts(rig), ['rtly']);
});

test('what waits as an event is not overtaken', () => {
  const rig = opened();
  rig.feed(data(0, 'first'));
  lend(rig, () => assert.fail('there are bytes before these'), data(5, 'second'));
  assert.deepEqual(texts(rig), ['first', 'second']);
  lend(rig, (_stream, bytes) => bytes.length, data(11, 'third'));
  assert.deepEqual(texts(rig), []);
});

test('what came ahead of its turn is kept as a copy', () => {
  const rig = opened();
  lend(rig, () => 0, data(5, 'later'));
  assert.deepEqual(texts(rig), []);
  rig.feed(data(0, 'first'));
  assert.deepEqual(texts(rig), ['first', 'later']);
});

test('what comes twice is absorbed once', () => {
  const rig = opened();
  let absorbed = '';
  const absorb: Absorb = (_stream, bytes) => {
    absorbed += String(Buffer.from(bytes));
    return bytes.length;
  };
  lend(rig, absorb, data(0, 'abcd'), data(2, 'cdef'), data(0, 'ab'));
  assert.equal(absorbed, 'abcdef');
});
