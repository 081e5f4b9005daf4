import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FLAG_FIN_DELIVERED, FrameType } from '../../../../packages/proto/src/wire/layout.ts';
import {
  acceptFrame,
  dataFrame,
  frame,
  openFrame,
  resumeRecords,
  resumeStream,
} from '../../../support/session/frames.ts';
import { bytes, frames, offsets, peerResumes, replaceLane, sending } from './resume-rig.ts';
import { established, open } from '../../../support/session/session-rig.ts';

test('an incoming stream accepted while suspended is answered on the next lane', () => {
  const rig = established('dialler');
  rig.feed(openFrame(2, 500));
  rig.events();
  rig.lose();
  rig.session.accept(2);
  rig.session.write(rig.nowMs, 2, bytes(0, 100));
  rig.join();
  assert.deepEqual(rig.said(), ['HELLO', 'RESUME']);
  peerResumes(rig, [0, 2], (writer) => writer.stream(resumeStream(2, { open: false, limit: 500 })));
  assert.deepEqual(new Set(rig.said()), new Set(['ACCEPT 2', 'CREDIT 2', 'DATA 2']));
});

test('a stream opened while suspended is opened on the next lane', () => {
  const rig = established('dialler');
  rig.lose();
  const stream = open(rig);
  rig.session.write(rig.nowMs, stream, bytes(0, 10));
  rig.session.end(stream);
  rig.join();
  assert.deepEqual(rig.said(), ['HELLO', 'RESUME']);
  peerResumes(rig, [0, 0]);
  assert.deepEqual(rig.said(), ['OPEN 1', 'DATA 1', 'FIN 1']);
});

test('a stream opened and reset while suspended leaves no gap in the ids', () => {
  const rig = established('dialler');
  rig.lose();
  rig.session.reset(open(rig), 'cancelled', 'enough');
  open(rig);
  rig.join();
  const resume = frames(rig)[0]!;
  assert.deepEqual(
    resumeRecords(resume).filter(([kind]) => kind === 'ended'),
    [['ended', 1, 'cancelled']],
  );
  const acceptor = established('acceptor');
  peerResumes(acceptor, [0, 3], (writer) => {
    writer.ended(1, 'cancelled');
    writer.stream(resumeStream(3, { open: false }));
  });
  acceptor.feed(openFrame(3, 100));
  assert.deepEqual(acceptor.kinds(), ['opened']);
  const [said] = replaceLane(acceptor);
  assert.deepEqual(resumeRecords(said!)[0], ['opened', 3, 0]);
});

test('a reset while suspended is said by RESUME; a stale stream’s on any lane at once', () => {
  const rig = sending();
  rig.lose();
  rig.session.reset(1, 'cancelled', 'gone');
  rig.join();
  const resume = frames(rig)[0]!;
  assert.deepEqual(resumeRecords(resume).at(-1), ['ended', 1, 'cancelled']);
  const other = sending();
  replaceLane(other);
  other.session.reset(1, 'cancelled', 'gone');
  assert.deepEqual(offsets(frames(other)), ['RESET 1 @ 1000']);
});

test('a stale stream that finishes here says so on any lane, since RESUME did not', () => {
  const rig = sending();
  rig.session.end(1);
  rig.said();
  rig.feed(
    frame((writer) => writer.credit(1, 100_000, 1_000, FLAG_FIN_DELIVERED)),
    frame((writer) => writer.fin(1, 0)),
  );
  rig.events();
  replaceLane(rig);
  rig.session.finDelivered(1);
  assert.deepEqual(rig.kinds(), ['finished']);
  const [credit, ...more] = frames(rig);
  assert.deepEqual([credit!.type, credit!.flags], [FrameType.CREDIT, FLAG_FIN_DELIVERED]);
  assert.equal(more.length, 0);
});

test('a delivery while the stream is stale is told with its synchronisation', () => {
  const rig = established('dialler');
  open(rig);
  rig.feed(acceptFrame(1, 500), dataFrame(1, 0, bytes(0, 60_000)));
  rig.events();
  replaceLane(rig);
  rig.session.delivered(rig.nowMs, 1, 60_000);
  rig.pass(100);
  assert.deepEqual(rig.said(), []);
  peerResumes(rig, [1, 0], (writer) => writer.stream(resumeStream(1, { limit: 500 })));
  const [credit] = frames(rig);
  const view = new DataView(credit!.payload.buffer);
  assert.equal(view.getBigUint64(0), 60_000n);
});

const ENDS = [
  { name: 'whose RESET was lost', code: 'target-refused', kinds: ['reset'] },
  { name: 'that the peer finished while this side has not', code: undefined, kinds: ['reset'] },
] as const;

for (const { name, code, kinds } of ENDS) {
  test(`a stream ${name} ends by the peer’s RESUME, stale or not`, () => {
    for (const stale of [true, false]) {
      const rig = sending();
      if (stale) replaceLane(rig);
      peerResumes(rig, [1, 0], (writer) => writer.ended(1, code));
      const events = rig.events();
      assert.deepEqual(
        events.map((event) => event.kind),
        kinds,
      );
      assert.ok(events[0]?.kind === 'reset');
      assert.equal(events[0].code, code ?? 'resume-mismatch');
      assert.equal(rig.session.streamCount, 0);
      assert.equal(rig.options.pools.send.used, 0);
      rig.said();
      peerResumes(rig, [1, 0], (writer) => writer.ended(1, code));
      assert.deepEqual([rig.kinds(), rig.said()], [[], []], 'once');
    }
  });
}

test('a stream whose last CREDIT was lost finishes by the peer’s RESUME', () => {
  const rig = sending();
  rig.session.end(1);
  rig.feed(frame((writer) => writer.fin(1, 0)));
  rig.session.finDelivered(1);
  rig.events();
  rig.said();
  replaceLane(rig);
  peerResumes(rig, [1, 0], (writer) => writer.ended(1, undefined));
  assert.deepEqual(rig.kinds(), ['finished']);
  assert.deepEqual([rig.session.streamCount, rig.session.bufferedBytes], [0, 0]);
});

test('a stream the peer has seen and does not speak of is lost', () => {
  const rig = sending();
  rig.feed(openFrame(2, 100));
  open(rig);
  rig.said();
  rig.events();
  replaceLane(rig);
  peerResumes(rig, [1, 2], (writer) => writer.seen(3));
  const reason = 'the peer lost the stream';
  assert.deepEqual(rig.events(), [
    { kind: 'reset', stream: 1, code: 'session-lost', reason },
    { kind: 'reset', stream: 2, code: 'session-lost', reason },
    { kind: 'reset', stream: 3, code: 'session-lost', reason },
  ]);
  assert.deepEqual(rig.said(), []);
});
