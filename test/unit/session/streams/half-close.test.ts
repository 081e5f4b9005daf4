import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SessionEvent } from '../../../../packages/proto/src/session/events.ts';
import { FLAG_FIN_DELIVERED, FrameType } from '../../../../packages/proto/src/wire/layout.ts';
import { acceptFrame, dataFrame, frame, openFrame } from '../../../support/session/frames.ts';
import { Pair } from '../../../support/session/session-pair.ts';
import { established, open } from '../../../support/session/session-rig.ts';

function fin(stream: number, size: number): Uint8Array {
  return frame((writer) => writer.fin(stream, size));
}

test('FIN follows the last byte, however late its credit comes', () => {
  const rig = established('dialler');
  const stream = open(rig);
  rig.session.write(rig.nowMs, stream, new Uint8Array(10_000));
  rig.session.end(stream);
  rig.session.end(stream);
  assert.equal(rig.sent().at(-1)!.type, FrameType.DATA, 'the credit of HELLO is used up');
  rig.feed(acceptFrame(stream, 50_000));
  const [data, last, ...more] = rig.sent();
  assert.equal(data!.type, FrameType.DATA);
  assert.deepEqual([last!.type, last!.offset], [FrameType.FIN, 10_000]);
  assert.equal(more.length, 0);
  assert.equal(rig.session.write(rig.nowMs, stream, new Uint8Array(5)), true);
  assert.deepEqual(rig.sentNames(), [], 'nothing after FIN');
});

test('a direction without bytes ends with a FIN at 0', () => {
  const rig = established('dialler');
  const stream = open(rig);
  rig.session.end(stream);
  assert.deepEqual(rig.sentNames(), ['OPEN 1', 'FIN 1']);
});

test('each direction ends by itself; both ends finish when both know', () => {
  const pair = new Pair();
  const { dialler, acceptor } = pair;
  const stream = open(dialler);
  dialler.session.write(dialler.nowMs, stream, Uint8Array.of(1, 2, 3));
  dialler.session.end(stream);
  pair.exchange();
  acceptor.session.accept(stream);
  acceptor.session.delivered(acceptor.nowMs, stream, 3);
  acceptor.session.finDelivered(stream);
  acceptor.session.finDelivered(stream);
  pair.exchange();
  assert.deepEqual(kinds(pair.diallerEvents, stream), ['accepted']);
  acceptor.session.write(acceptor.nowMs, stream, Uint8Array.of(9));
  acceptor.session.end(stream);
  pair.exchange();
  assert.deepEqual(kinds(pair.diallerEvents, stream), ['accepted', 'data', 'fin']);
  assert.equal(dialler.session.streamCount, 1);
  dialler.session.delivered(dialler.nowMs, stream, 1);
  dialler.session.finDelivered(stream);
  pair.exchange();
  assert.deepEqual(kinds(pair.diallerEvents, stream), ['accepted', 'data', 'fin', 'finished']);
  assert.deepEqual(kinds(pair.acceptorEvents, stream), ['opened', 'data', 'fin', 'finished']);
  for (const rig of [dialler, acceptor]) {
    assert.equal(rig.session.streamCount, 0);
    assert.equal(rig.session.bufferedBytes, 0);
    assert.equal(rig.options.pools.send.used, 0);
    assert.equal(rig.options.pools.receive.used, 0);
  }
});

function kinds(events: readonly SessionEvent[], stream: number): string[] {
  return events
    .filter((event) => 'stream' in event && event.stream === stream)
    .map((event) => event.kind);
}

test('a FIN that was passed on before the answer is acknowledged after it', () => {
  const rig = established('dialler');
  rig.feed(openFrame(2, 100), fin(2, 0));
  rig.session.finDelivered(2);
  assert.deepEqual(rig.sentNames(), []);
  rig.session.accept(2);
  const [accept, credit] = rig.sent();
  assert.equal(accept!.type, FrameType.ACCEPT);
  assert.deepEqual([credit!.type, credit!.flags], [FrameType.CREDIT, FLAG_FIN_DELIVERED]);
});

test('finDelivered without a FIN, or for no stream, does nothing', () => {
  const rig = established('dialler');
  rig.feed(openFrame(2, 100));
  rig.session.accept(2);
  rig.sent();
  rig.session.finDelivered(2);
  rig.session.finDelivered(77);
  assert.deepEqual(rig.sentNames(), []);
});

const VIOLATIONS: readonly { name: string; frames: readonly Uint8Array[] }[] = [
  { name: 'a FIN below what arrived', frames: [dataFrame(2, 0, new Uint8Array(5)), fin(2, 4)] },
  { name: 'a FIN beyond the credit', frames: [fin(2, 64 * 1024 + 1)] },
  { name: 'a second FIN of another size', frames: [fin(2, 5), fin(2, 6)] },
  { name: 'DATA after FIN', frames: [fin(2, 0), dataFrame(2, 0, new Uint8Array(1))] },
  {
    name: 'DATA that arrived above a gap and reaches beyond FIN',
    frames: [dataFrame(2, 3, new Uint8Array(5)), fin(2, 6), dataFrame(2, 0, new Uint8Array(3))],
  },
  {
    name: 'an acknowledged FIN that was not sent',
    frames: [frame((writer) => writer.credit(2, 100, 0, FLAG_FIN_DELIVERED))],
  },
];

for (const { name, frames } of VIOLATIONS) {
  test(`${name} breaks the final size`, () => {
    const rig = established('dialler');
    rig.feed(openFrame(2, 100));
    rig.session.accept(2);
    rig.feed(...frames);
    const { code, reason } = rig.closed();
    assert.equal(code, 'protocol-error');
    assert.ok(reason.startsWith('final-size: '), reason);
  });
}

test('a FIN that overtakes bytes is told once they have come', () => {
  const rig = established('dialler');
  rig.feed(openFrame(2, 100));
  rig.session.accept(2);
  rig.events();
  rig.feed(fin(2, 8), fin(2, 8), dataFrame(2, 3, new Uint8Array(5)));
  assert.deepEqual(rig.kinds(), []);
  rig.session.finDelivered(2);
  rig.feed(dataFrame(2, 0, new Uint8Array(3)));
  assert.deepEqual(rig.kinds(), ['data', 'data', 'fin']);
  rig.feed(fin(2, 8), dataFrame(2, 0, new Uint8Array(8)));
  assert.deepEqual(rig.kinds(), [], 'said again, it changes nothing');
  rig.sent();
  rig.session.delivered(rig.nowMs, 2, 8);
  rig.session.finDelivered(2);
  const [credit] = rig.sent();
  assert.deepEqual([credit!.type, credit!.flags], [FrameType.CREDIT, FLAG_FIN_DELIVERED]);
});

test('a FIN cannot be acknowledged before its last byte', () => {
  const rig = established('dialler');
  rig.feed(openFrame(2, 100));
  rig.session.accept(2);
  rig.session.write(rig.nowMs, 2, new Uint8Array(10));
  rig.session.end(2);
  rig.sent();
  rig.feed(frame((writer) => writer.credit(2, 100, 9, FLAG_FIN_DELIVERED)));
  assert.match(rig.closed().reason, /^final-size: FIN acknowledged early on stream 2/);
});
