import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { StreamTable } from '../../../../packages/proto/src/session/streams/stream-table.ts';
import type { FrameWriter } from '../../../../packages/proto/src/wire/frame-writer.ts';
import { FrameType } from '../../../../packages/proto/src/wire/layout.ts';
import type { ResumeWriter } from '../../../../packages/proto/src/wire/resume.ts';
import {
  acceptFrame,
  dataFrame,
  frame,
  openFrame,
  readFrames,
  resumeFrame,
  resumeRecords,
  resumeStream,
} from '../../../support/session/frames.ts';
import { has, threeStreams } from './resume-rig.ts';
import { established, open } from '../../../support/session/session-rig.ts';

/** Frames of a set, cut behind the records that each of `parts` tells. */
function cutSet(...parts: readonly ((writer: ResumeWriter) => void)[]): Uint8Array[] {
  return parts.map((tell, index) => {
    const [whole] = readFrames([resumeFrame(tell)]);
    const last = index === parts.length - 1;
    return frame((writer: FrameWriter) => writer.resume(last ? 1 : 0, whole!.payload));
  });
}

test('a set may take several frames; what it does not speak of counts with the last', () => {
  const rig = threeStreams();
  rig.lose();
  rig.add();
  const [first, second, third] = cutSet(
    (writer) => writer.opened(5, 0),
    has(3, 400),
    has(1, 1_000),
  );
  rig.feed(first!);
  assert.deepEqual([rig.kinds(), rig.said()], [[], []]);
  rig.feed(second!);
  assert.deepEqual(rig.said(), ['CREDIT 3', 'DATA 3'], 'a record is as good as its set');
  rig.feed(third!);
  assert.deepEqual(rig.said(), ['CREDIT 1']);
  assert.deepEqual(rig.events(), [
    { kind: 'reset', stream: 5, code: 'session-lost', reason: 'the peer lost the stream' },
  ]);
});

test('this side’s set takes as many frames as it needs, and another set is as long', () => {
  const rig = established('dialler');
  for (let i = 0; i < 3_000; i++) open(rig);
  rig.lose();
  rig.join();
  const resume = rig.sent().filter((each) => each.type === FrameType.RESUME);
  assert.deepEqual(
    resume.map((each) => each.flags),
    [0, 1],
  );
  const streams = resume.flatMap(resumeRecords).filter(([kind]) => kind === 'stream');
  assert.equal(streams.length, 3_000);
});

test('sets on two lanes may come in turns', () => {
  const rig = threeStreams();
  rig.add();
  rig.add();
  rig.lose(1);
  rig.events();
  const one = cutSet((writer) => writer.opened(5, 0), has(1, 500), has(3, 500));
  const two = cutSet((writer) => writer.opened(5, 0), has(3, 600), has(5, 600), has(1, 600));
  rig.feedOn(2, one[0]!);
  rig.feedOn(3, two[0]!, two[1]!);
  rig.feedOn(2, one[1]!);
  rig.feedOn(3, two[2]!, two[3]!);
  assert.deepEqual(rig.kinds(), []);
  const sent = [2, 3].flatMap((lane) => rig.sent(undefined, lane));
  const data = sent.filter((each) => each.type === FrameType.DATA);
  const from = data.map(({ stream, offset }) => [stream, offset]).sort(([a], [b]) => a! - b!);
  assert.deepEqual(from, [
    [1, 500],
    [3, 600],
    [5, 600],
  ]);
});

test('a set that breaks off with its lane leaves it to the next one', () => {
  const rig = threeStreams();
  rig.lose();
  rig.add();
  const [first, second] = cutSet((writer) => writer.opened(5, 0), has(1, 500), has(3, 500));
  rig.feed(first!, second!);
  rig.said();
  rig.lose();
  rig.add();
  rig.feed(
    resumeFrame((writer) => {
      writer.opened(5, 0);
      for (const id of [1, 3, 5]) has(id, 800)(writer);
    }),
  );
  assert.deepEqual(
    rig.kinds().filter((kind) => kind === 'reset'),
    [],
  );
  const data = rig.sent().filter((each) => each.type === FrameType.DATA);
  assert.deepEqual(
    data.map(({ stream, offset }) => [stream, offset]),
    [
      [1, 800],
      [3, 800],
      [5, 800],
    ],
  );
});

test('a RESUME that is overtaken only makes this side send more again', () => {
  const rig = established('dialler');
  rig.add();
  rig.add();
  // Made before stream 1 was opened, and after; both arrive when its home, lane 1, is lost.
  const older = resumeFrame((writer) => writer.opened(0, 0));
  const old = resumeFrame((writer) => {
    writer.opened(1, 0);
    writer.stream(resumeStream(1, { open: false, received: 300, delivered: 100, limit: 8_192 }));
  });
  open(rig);
  rig.feedOn(1, acceptFrame(1, 100_000));
  rig.session.write(rig.nowMs, 1, new Uint8Array(1_000));
  rig.sent(undefined, 1);
  rig.feedOn(
    1,
    frame((writer) => writer.credit(1, 100_000, 200, 0)),
  );
  rig.lose(1);
  for (const lane of [2, 3]) rig.sent(undefined, lane);
  rig.events();
  rig.feedOn(3, older);
  assert.deepEqual([rig.kinds(), rig.said(2), rig.said(3)], [[], [], []], 'it says nothing of it');
  rig.feedOn(3, old);
  const names = [...rig.sent(undefined, 2), ...rig.sent(undefined, 3)];
  assert.deepEqual(
    names.map(({ type, offset }) => [type, offset]),
    [
      [FrameType.CREDIT, 64 * 1024],
      [FrameType.DATA, 300],
    ],
  );
  rig.feedOn(3, older, old);
  assert.deepEqual([rig.kinds(), rig.said(2), rig.said(3)], [[], [], []]);
});

test('a RESUME made before OPEN came does not end a stream whose bytes were taken since', () => {
  const rig = established('dialler');
  open(rig);
  rig.session.write(rig.nowMs, 1, new Uint8Array(1_000));
  rig.said();
  rig.lose();
  rig.add();
  rig.feed(
    resumeFrame((writer) => {
      writer.opened(1, 0);
      writer.stream(resumeStream(1, { open: false, received: 700, delivered: 600 }));
    }),
  );
  rig.lose();
  rig.add();
  rig.events();
  rig.feed(resumeFrame((writer) => writer.opened(0, 0)));
  assert.deepEqual([rig.kinds(), rig.said()], [[], []]);
  rig.feed(
    resumeFrame((writer) => {
      writer.opened(1, 0);
      writer.stream(resumeStream(1, { received: 800, delivered: 600 }));
    }),
  );
  assert.deepEqual(rig.said(), ['DATA 1']);
});

test('the peer’s stream that it opened after its set was made is not lost', () => {
  const rig = established('dialler');
  rig.feed(openFrame(2, 100));
  rig.lose();
  rig.add();
  rig.events();
  rig.feed(resumeFrame((writer) => writer.opened(0, 0)));
  assert.deepEqual(rig.kinds(), []);
  rig.feed(resumeFrame((writer) => writer.opened(0, 2)));
  assert.deepEqual(rig.kinds(), ['reset']);
});

test('a lane that the peer has lost is destroyed, and answered with an own RESUME', () => {
  const rig = threeStreams();
  rig.add();
  rig.feedOn(
    2,
    resumeFrame((writer) => {
      writer.opened(5, 0);
      writer.dead(77);
      writer.dead(1);
      for (const id of [1, 3, 5]) has(id, 900)(writer);
    }),
  );
  assert.deepEqual(rig.events(), [
    {
      kind: 'lane-closed',
      lane: 1,
      code: 'lane-lost',
      reason: 'the peer has lost it',
      remote: true,
      abort: true,
      last: [],
    },
  ]);
  const [resume, ...rest] = rig.sent(undefined, 2);
  assert.deepEqual(resumeRecords(resume!).slice(0, 2), [
    ['opened', 0, 5],
    ['dead', 1],
  ]);
  const names = rest.filter((each) => each.type === FrameType.DATA);
  assert.equal(names.length, 3, 'streams are stale and synchronised at once');
});

test('RESUME is followed by the latest offers and GOAWAY, in this order', () => {
  const rig = established('acceptor');
  rig.session.offer(['postgres']);
  rig.session.offer(['postgres', 'redis']);
  rig.said();
  rig.lose();
  rig.session.offer(['redis']);
  rig.session.drain();
  assert.deepEqual(rig.said(), []);
  rig.join();
  const [, , offers, goaway] = rig.sent();
  assert.deepEqual([offers!.type, offers!.offset], [FrameType.OFFERS, 3]);
  assert.equal(new TextDecoder().decode(offers!.payload), '["redis"]');
  assert.equal(goaway!.type, FrameType.GOAWAY);
});

test('of offers that overtake one another the highest number counts', () => {
  const rig = established('dialler');
  const offers = (number: number, ...services: string[]) =>
    frame((writer) => writer.json(FrameType.OFFERS, 0, number, services));
  rig.feed(offers(2, 'redis'), offers(1, 'postgres'), offers(2, 'mysql'));
  assert.deepEqual(rig.events(), [{ kind: 'offers', services: new Set(['redis']) }]);
  rig.feed(offers(3));
  assert.deepEqual(rig.events(), [{ kind: 'offers', services: new Set() }]);
});

test('nothing of the streams is confused by DATA that comes twice around a RESUME', () => {
  const rig = established('dialler');
  rig.feed(openFrame(2, 100), dataFrame(2, 0, new Uint8Array(100)));
  rig.lose();
  rig.add();
  rig.events();
  rig.feed(dataFrame(2, 40, new Uint8Array(100)), dataFrame(2, 0, new Uint8Array(20)));
  const events = rig.events();
  assert.ok(events.length === 1 && events[0]?.kind === 'data');
  assert.equal(events[0].bytes.length, 40);
  assert.equal(rig.session.totals.bytesReceived, 140);
  assert.equal(rig.session.bufferedBytes, 140);
});

test('a set costs as much as it has records and as there are stale streams, not all streams', () => {
  const walks = mock.method(StreamTable.prototype, 'all');
  const rig = threeStreams();
  rig.add();
  rig.lose(1);
  rig.said(2);
  walks.mock.resetCalls();
  const set = resumeFrame((writer) => {
    writer.opened(3, 0);
    has(3, 400)(writer);
  });
  rig.feed(set, set, set);
  assert.equal(walks.mock.callCount(), 0);
  walks.mock.restore();
  const resets = rig.events().flatMap((event) => (event.kind === 'reset' ? [event.stream] : []));
  assert.deepEqual(resets, [1], 'stream 3 has a home, stream 5 was accepted and waits on');
});
