import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FrameType } from '../../../packages/proto/src/wire/layout.ts';
import { parseReset } from '../../../packages/proto/src/wire/payload.ts';
import { frame, openFrame } from '../../support/session/frames.ts';
import { Pair } from '../../support/session/session-pair.ts';
import { established, open, REQUEST, Rig } from '../../support/session/session-rig.ts';

test('a draining side says so, refuses new streams and goes on with the old ones', () => {
  const rig = established('dialler');
  rig.feed(openFrame(2, 100));
  rig.session.accept(2);
  rig.events();
  rig.sent();
  rig.session.drain();
  assert.deepEqual(rig.sentNames(), ['GOAWAY']);
  rig.feed(openFrame(4, 100));
  assert.deepEqual(rig.kinds(), []);
  const [reset] = rig.sent();
  assert.deepEqual([reset!.type, reset!.stream, reset!.offset], [FrameType.RESET, 4, 0]);
  assert.equal(parseReset(reset!.payload).code, 'draining');
  rig.session.write(rig.nowMs, 2, new Uint8Array(10));
  assert.deepEqual(rig.sentNames(), ['DATA 2']);
  assert.equal(rig.session.streamCount, 1);
});

test('the peer of a draining side opens nothing new, but may be opened to', () => {
  const rig = established('dialler');
  rig.feed(frame((writer) => writer.goaway()));
  assert.deepEqual(rig.kinds(), ['draining']);
  assert.ok(rig.session.peerDraining);
  assert.deepEqual(rig.session.open(rig.nowMs, REQUEST), {
    ok: false,
    code: 'draining',
    reason: 'the peer is draining',
  });
  rig.feed(openFrame(2, 100));
  assert.deepEqual(rig.kinds(), ['opened']);
});

test('an OPEN that crosses GOAWAY is reset, and the stream of its opener with it', () => {
  const pair = new Pair();
  const stream = open(pair.dialler);
  pair.dialler.session.write(pair.dialler.nowMs, stream, new Uint8Array(100));
  pair.acceptor.session.drain();
  pair.exchange();
  const kinds = pair.diallerEvents.map((event) => event.kind);
  assert.ok(kinds.includes('draining') && kinds.includes('reset'));
  assert.equal(pair.dialler.session.streamCount, 0);
  assert.equal(pair.acceptor.session.streamCount, 0);
});

test('only an established session drains or offers', () => {
  const rig = new Rig('acceptor');
  rig.session.drain();
  rig.session.offer(['postgres']);
  assert.deepEqual(rig.sentNames(), []);
});

test('offers arrive complete, each list in place of the one before', () => {
  const pair = new Pair();
  for (const list of [['postgres', 'redis'], []]) {
    pair.acceptor.session.offer(list);
    pair.exchange();
    assert.deepEqual(pair.diallerEvents.at(-1), { kind: 'offers', services: new Set(list) });
  }
});
