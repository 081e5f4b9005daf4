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
import {
  bytes,
  frames,
  nameAll,
  offsets,
  peerResumes,
  replaceLane,
  sending,
} from './resume-rig.ts';
import { established, open } from '../../../support/session/session-rig.ts';

test('RESUME tells what there is to know, and comes once for each loss', () => {
  const rig = sending();
  rig.feed(openFrame(2, 500), dataFrame(2, 0, bytes(0, 30)), openFrame(6, 500));
  rig.session.delivered(rig.nowMs, 2, 10);
  rig.session.reset(6, 'cancelled', 'enough');
  const [resume, ...more] = replaceLane(rig);
  assert.equal(more.length, 0);
  assert.deepEqual(resumeRecords(resume!), [
    ['opened', 2, 1],
    ['dead', 1],
    ['seen', 6],
    ['stream', resumeStream(1, { limit: 64 * 1024 })],
    ['stream', resumeStream(2, { open: false, received: 30, delivered: 10, limit: 8 * 1024 })],
    ['ended', 6, 'cancelled'],
  ]);
  rig.add();
  assert.deepEqual(rig.said(), []);
  rig.lose();
  const [again] = frames(rig, 2);
  assert.deepEqual(resumeRecords(again!).slice(0, 3), [
    ['opened', 2, 1],
    ['dead', 1],
    ['dead', 3],
  ]);
});

test('of the lanes that were lost the 64 latest are named', () => {
  const rig = established('dialler');
  for (let i = 0; i < 70; i++) {
    rig.lose();
    rig.dial();
  }
  rig.join();
  const resume = frames(rig)[0]!;
  const dead = resumeRecords(resume).filter(([kind]) => kind === 'dead');
  assert.deepEqual([dead.length, dead[0]], [64, ['dead', 7]]);
});

test('what has arrived is not sent again, what has not is, byte for byte', () => {
  const rig = sending();
  assert.deepEqual(nameAll(replaceLane(rig)), ['RESUME']);
  rig.session.write(rig.nowMs, 1, bytes(1_000, 1_100));
  assert.deepEqual(rig.said(), [], 'silent until the peer has said what it has');
  peerResumes(rig, [1, 0], (writer) =>
    writer.stream(resumeStream(1, { received: 700, delivered: 300 })),
  );
  assert.equal(rig.session.memory().replayBytes, 800);
  const [credit, data, ...more] = frames(rig);
  assert.equal(more.length, 0);
  assert.deepEqual(offsets([data!]), ['DATA 1 @ 700']);
  assert.deepEqual(data!.payload, bytes(700, 1_100));
  assert.equal(credit!.type, FrameType.CREDIT);
  assert.equal(rig.session.totals.bytesReplayed, 300);
  assert.equal(rig.session.totals.bytesSent, 1_100);
});

test('a replay that is cut off goes on where the peer is, behind or ahead of it', () => {
  const turn = 64 * 1024;
  const rig = established('dialler');
  open(rig);
  rig.feed(acceptFrame(1, 10 * turn));
  rig.session.write(rig.nowMs, 1, bytes(0, 4 * turn));
  rig.sent();
  for (const [received, replayedBytes] of [
    [0, 4 * turn],
    [3 * turn, 4 * turn],
    [2 * turn, 6 * turn],
  ] as const) {
    replaceLane(rig);
    peerResumes(rig, [1, 0], (writer) =>
      writer.stream(resumeStream(1, { received, limit: 10 * turn })),
    );
    rig.sent(0);
    const data = rig.sent(1).find((each) => each.type === FrameType.DATA)!;
    assert.deepEqual([data.offset, data.payload.length], [received, turn]);
    assert.equal(rig.session.totals.bytesReplayed, replayedBytes);
    assert.equal(rig.session.totals.bytesSent, 4 * turn);
  }
});

test('an acknowledgement that was lost is made up for by RESUME, a newer one is not undone', () => {
  const rig = sending();
  replaceLane(rig);
  peerResumes(rig, [1, 0], (writer) =>
    writer.stream(resumeStream(1, { received: 150, delivered: 100 })),
  );
  assert.deepEqual(offsets(frames(rig)).slice(1), ['DATA 1 @ 200']);
  assert.equal(rig.session.memory().replayBytes, 800);
});

test('an OPEN that was lost is sent again with all that followed it', () => {
  const rig = established('dialler');
  open(rig);
  rig.session.write(rig.nowMs, 1, bytes(0, 100));
  rig.session.end(1);
  assert.deepEqual(rig.said(), ['OPEN 1', 'DATA 1', 'FIN 1']);
  replaceLane(rig);
  peerResumes(rig, [0, 0]);
  assert.deepEqual(offsets(frames(rig)), ['OPEN 1 @ 65536', 'DATA 1 @ 0', 'FIN 1 @ 100']);
  rig.feed(acceptFrame(1, 100_000));
  assert.deepEqual(rig.kinds(), ['accepted']);
});

test('an OPEN above one that was lost is known to have been seen', () => {
  const rig = established('dialler');
  const streams = [open(rig), open(rig)];
  rig.said();
  replaceLane(rig);
  peerResumes(rig, [0, 0], (writer) => {
    writer.seen(3);
    writer.stream(resumeStream(3, { open: false, limit: 8_192 }));
  });
  assert.deepEqual(rig.said(), ['OPEN 1']);
  assert.equal(rig.session.streamCount, streams.length);
});

test('an ACCEPT that was lost is said again, with what is granted and acknowledged', () => {
  const rig = established('dialler');
  rig.feed(openFrame(2, 500), dataFrame(2, 0, bytes(0, 30)));
  rig.session.delivered(rig.nowMs, 2, 30);
  rig.session.accept(2);
  rig.said();
  replaceLane(rig);
  peerResumes(rig, [0, 2], (writer) => writer.stream(resumeStream(2, { open: false, limit: 500 })));
  const [accept, ...credits] = frames(rig);
  assert.deepEqual(offsets([accept!]), [`ACCEPT 2 @ ${64 * 1024 + 30}`]);
  assert.deepEqual(new Set(nameAll(credits)), new Set(['CREDIT 2']));
});

test('an opener that waits for ACCEPT goes on sending what early credit lets it', () => {
  const rig = established('dialler');
  open(rig);
  rig.session.write(rig.nowMs, 1, bytes(0, 100));
  rig.sent();
  replaceLane(rig);
  peerResumes(rig, [1, 0], (writer) =>
    writer.stream(resumeStream(1, { open: false, received: 60, delivered: 60, limit: 8_252 })),
  );
  assert.deepEqual(offsets(frames(rig)), ['DATA 1 @ 60']);
  rig.feed(acceptFrame(1, 100_000), acceptFrame(1, 100_000));
  assert.deepEqual(rig.kinds(), ['accepted']);
});

test('credit that was lost is granted by RESUME, and what this side granted is said again', () => {
  const rig = established('dialler');
  open(rig);
  rig.feed(acceptFrame(1, 500), dataFrame(1, 0, bytes(0, 50)));
  rig.session.write(rig.nowMs, 1, bytes(0, 20_000));
  rig.session.delivered(rig.nowMs, 1, 50);
  rig.sent();
  replaceLane(rig);
  peerResumes(rig, [1, 0], (writer) =>
    writer.stream(resumeStream(1, { received: 8_192, delivered: 8_192, limit: 9_000 })),
  );
  const [credit, data] = frames(rig);
  assert.deepEqual(offsets([credit!, data!]), [`CREDIT 1 @ ${64 * 1024 + 50}`, 'DATA 1 @ 8192']);
  assert.equal(data!.payload.length, 9_000 - 8_192);
});

test('a writer that waited for credit goes on with what RESUME grants', () => {
  const rig = established('dialler');
  open(rig);
  rig.feed(acceptFrame(1, 9_000));
  assert.equal(rig.session.write(rig.nowMs, 1, bytes(0, 10_000)), false);
  rig.sent();
  rig.events();
  replaceLane(rig);
  peerResumes(rig, [1, 0], (writer) =>
    writer.stream(resumeStream(1, { received: 9_000, delivered: 9_000, limit: 20_000 })),
  );
  assert.deepEqual(rig.kinds(), ['writable']);
  assert.deepEqual(offsets(frames(rig)).at(-1), 'DATA 1 @ 9000');
});

test('a FIN that was lost is sent again, one that was received is not', () => {
  for (const finReceived of [false, true]) {
    const rig = sending();
    rig.session.end(1);
    assert.deepEqual(rig.said(), ['FIN 1']);
    replaceLane(rig);
    peerResumes(rig, [1, 0], (writer) =>
      writer.stream(resumeStream(1, { received: 1_000, delivered: 500, finReceived })),
    );
    const sent = offsets(frames(rig)).slice(1);
    assert.deepEqual(sent, finReceived ? [] : ['FIN 1 @ 1000']);
  }
});

test('a FIN that overtook bytes which were lost is known; the bytes are sent again', () => {
  const rig = sending();
  rig.session.end(1);
  rig.said();
  replaceLane(rig);
  peerResumes(rig, [1, 0], (writer) =>
    writer.stream(resumeStream(1, { received: 900, delivered: 900, finReceived: true })),
  );
  assert.deepEqual(offsets(frames(rig)).slice(1), ['DATA 1 @ 900']);
});

test('a FIN whose delivery was acknowledged by RESUME finishes the stream', () => {
  const rig = sending();
  rig.session.end(1);
  rig.feed(frame((writer) => writer.fin(1, 0)));
  rig.session.finDelivered(1);
  rig.said();
  rig.events();
  replaceLane(rig);
  const delivered = { received: 1_000, delivered: 1_000, finReceived: true, finDelivered: true };
  peerResumes(rig, [1, 0], (writer) => writer.stream(resumeStream(1, delivered)));
  assert.deepEqual(rig.kinds(), ['finished']);
  const [credit] = frames(rig);
  assert.deepEqual([credit!.type, credit!.flags], [FrameType.CREDIT, FLAG_FIN_DELIVERED]);
  assert.equal(rig.options.pools.send.used, 0);
});
