import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { StreamCode } from '../../../../packages/proto/src/wire/codes.ts';
import { FrameType } from '../../../../packages/proto/src/wire/layout.ts';
import { parseReset } from '../../../../packages/proto/src/wire/payload.ts';
import { dataFrame, frame, openFrame, readFrames } from '../../../support/session/frames.ts';
import { established, open } from '../../../support/session/session-rig.ts';

function resetFrame(stream: number, offset: number, code: StreamCode): Uint8Array {
  return frame((writer) => writer.reset(stream, offset, code, 'the client left'));
}

test('a reset drops what was not sent, says how much was, and gives all memory back', () => {
  const rig = established('dialler');
  const stream = open(rig);
  rig.session.write(rig.nowMs, stream, new Uint8Array(100_000));
  rig.sent();
  const { send, receive } = rig.options.pools;
  assert.ok(send.used === 100_000 && receive.used > 0);
  rig.session.reset(stream, 'cancelled', 'enough');
  const [reset, ...more] = rig.sent();
  assert.equal(more.length, 0);
  assert.deepEqual([reset!.type, reset!.stream, reset!.offset], [FrameType.RESET, stream, 8_192]);
  assert.deepEqual(parseReset(reset!.payload), { code: 'cancelled', reason: 'enough' });
  assert.equal(send.used + receive.used, 0);
  assert.deepEqual(rig.kinds(), [], 'whoever resets needs no event');
  rig.session.reset(stream, 'cancelled', 'again');
  assert.deepEqual(rig.sentNames(), []);
});

test('a reset by which the peer gives up ends the stream at once, with its code and reason', () => {
  const rig = established('dialler');
  rig.feed(openFrame(2, 100), dataFrame(2, 0, new Uint8Array(9)));
  rig.session.accept(2);
  rig.session.write(rig.nowMs, 2, new Uint8Array(500));
  assert.ok(rig.session.bufferedBytes > 0);
  rig.events();
  rig.feed(resetFrame(2, 9, 'cancelled'));
  assert.deepEqual(rig.events(), [
    { kind: 'reset', stream: 2, code: 'cancelled', reason: 'the client left' },
  ]);
  assert.equal(rig.session.streamCount, 0);
  assert.equal(rig.session.bufferedBytes, 0);
  const { send, receive } = rig.options.pools;
  assert.equal(send.used + receive.used, 0);
  rig.sent();
  rig.session.write(rig.nowMs, 2, new Uint8Array(5));
  rig.session.delivered(rig.nowMs, 2, 9);
  rig.session.end(2);
  rig.session.accept(2);
  assert.deepEqual(rig.sentNames(), [], 'a stream that is gone takes no commands');
});

const SIZES: readonly {
  name: string;
  offset: number;
  fin?: boolean;
  whole?: boolean;
  taken: boolean;
}[] = [
  { name: 'what arrived', offset: 9, taken: true },
  { name: 'more than arrived, within the credit', offset: 8_192, taken: true },
  { name: 'less than arrived', offset: 8, taken: false },
  { name: 'more than the credit', offset: 8_193, taken: false },
  { name: 'the size FIN named', offset: 9, fin: true, taken: true },
  { name: 'another size than FIN named', offset: 10, fin: true, taken: false },
  { name: 'less than arrived, of a connection', offset: 8, whole: true, taken: false },
  { name: 'the size FIN named, of a connection', offset: 9, fin: true, whole: true, taken: true },
  { name: 'another than FIN, of a connection', offset: 10, fin: true, whole: true, taken: false },
];

for (const { name, offset, fin, whole, taken } of SIZES) {
  test(`a RESET that names ${name} is ${taken ? 'taken' : 'refused'}`, () => {
    const rig = established('dialler');
    rig.feed(openFrame(2, 100), dataFrame(2, 0, new Uint8Array(9)));
    if (fin) rig.feed(frame((writer) => writer.fin(2, 9)));
    rig.events();
    rig.feed(resetFrame(2, offset, whole ? 'connection-reset' : 'cancelled'));
    if (taken) assert.deepEqual(rig.kinds(), ['reset']);
    else assert.match(rig.closed().reason, /^final-size: RESET at \d+ on stream 2/);
  });
}

test('resets that cross need no answer', () => {
  const rig = established('dialler');
  const stream = open(rig);
  rig.session.reset(stream, 'cancelled', 'enough');
  rig.feed(resetFrame(stream, 0, 'cancelled'));
  assert.deepEqual(rig.kinds(), []);
  assert.deepEqual(rig.sentNames(), ['OPEN 1', 'RESET 1']);
});

test('the end of the session resets every stream, then tells of the end', () => {
  const rig = established('dialler');
  open(rig);
  rig.feed(openFrame(2, 100), openFrame(4, 100));
  rig.session.accept(4);
  rig.events();
  rig.session.close(rig.nowMs, 'shutdown', 'good night');
  const events = rig.events();
  assert.deepEqual(
    events.map((event) => event.kind),
    ['reset', 'reset', 'reset', 'lane-closed', 'closed'],
  );
  assert.deepEqual(events[0], {
    kind: 'reset',
    stream: 1,
    code: 'session-lost',
    reason: 'good night',
  });
  const lane = events.at(-2)!;
  assert.ok(lane.kind === 'lane-closed');
  assert.equal(readFrames(lane.last).at(-1)!.type, FrameType.CLOSE);
  assert.equal(rig.session.pollTimeout(), undefined);
});
