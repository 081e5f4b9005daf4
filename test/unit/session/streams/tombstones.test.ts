import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Tombstones } from '../../../../packages/proto/src/session/streams/tombstones.ts';
import { FLAG_FIN_DELIVERED, FrameType } from '../../../../packages/proto/src/wire/layout.ts';
import {
  acceptFrame,
  frame,
  openFrame,
  resumeFrame,
  resumeRecords,
} from '../../../support/session/frames.ts';
import { established, open, type Rig } from '../../../support/session/session-rig.ts';

const nobody = () => {};

function ids(tombstones: Tombstones): number[] {
  return [...tombstones.entries()].map(([id]) => id);
}

test('an end is forgotten when a PING that followed it on its lane was answered', () => {
  const tombstones = new Tombstones();
  tombstones.add(1, 'cancelled', 1);
  tombstones.pinged(1, 10);
  tombstones.add(3, undefined, 1);
  tombstones.pinged(2, 11);
  assert.deepEqual(
    [...tombstones.entries()],
    [
      [1, 'cancelled'],
      [3, undefined],
    ],
  );
  tombstones.ponged(2, 11, nobody);
  tombstones.ponged(1, 9, nobody);
  assert.equal(tombstones.size, 2);
  const confirmed: number[] = [];
  tombstones.ponged(1, 10, (id) => confirmed.push(id));
  assert.deepEqual([ids(tombstones), confirmed], [[3], [1]]);
  tombstones.pinged(1, 12);
  tombstones.pinged(1, 13);
  tombstones.ponged(1, 13, nobody);
  assert.equal(tombstones.size, 0, 'the answer to a later PING will do');
});

test('an end that was said on a lane that is lost is kept until it is said again and confirmed', () => {
  const tombstones = new Tombstones();
  tombstones.add(1, 'cancelled', 1);
  tombstones.add(3, 'cancelled', undefined);
  tombstones.pinged(1, 10);
  tombstones.laneLost(1);
  tombstones.ponged(1, 10, nobody);
  assert.deepEqual(ids(tombstones), [1, 3]);
  tombstones.saidAgain(2);
  tombstones.pinged(2, 11);
  tombstones.ponged(2, 11, nobody);
  assert.equal(tombstones.size, 0);
  tombstones.saidAgain(3);
  tombstones.pinged(3, 12);
  tombstones.ponged(3, 12, nobody);
});

test('so many ends are worth a PING of their own, once', () => {
  const tombstones = new Tombstones();
  for (let id = 1; id < 2 * 1_024; id += 2) {
    assert.equal(tombstones.wantsPing(1), false);
    tombstones.add(id, undefined, 1);
  }
  assert.equal(tombstones.wantsPing(1), true);
  assert.equal(tombstones.wantsPing(2), false);
  tombstones.pinged(1, 10);
  assert.equal(tombstones.wantsPing(1), false);
  tombstones.clear();
  assert.equal(tombstones.size, 0);
  tombstones.ponged(1, 10, nobody);
});

/** Ends that RESUME would tell now: on the lane that replaces the present one. */
function toldEnds(rig: Rig): unknown[] {
  rig.lose();
  rig.join();
  const resume = rig.sent().filter((each) => each.type === FrameType.RESUME);
  return resume.flatMap(resumeRecords).filter(([kind]) => kind === 'ended');
}

/** The peer answers the last PING. */
function answerPing(rig: Rig): void {
  const ping = rig.session.ping(rig.nowMs);
  rig.sent();
  rig.feed(frame((writer) => writer.pong(ping, 0, 0, 0)));
}

test('ends are told by every RESUME until one was heard', () => {
  const rig = established('dialler');
  rig.feed(openFrame(2, 100));
  rig.session.reset(2, 'not-allowed', 'no');
  rig.session.drain();
  rig.feed(openFrame(4, 100));
  rig.sent();
  const told = [
    ['ended', 2, 'not-allowed'],
    ['ended', 4, 'draining'],
  ];
  assert.deepEqual(toldEnds(rig), told);
  assert.deepEqual(toldEnds(rig), told, 'the RESUME before may have been lost too');
  answerPing(rig);
  assert.deepEqual(toldEnds(rig), []);
});

test('an end that the peer has read is not told again', () => {
  const rig = established('dialler');
  rig.feed(openFrame(2, 100));
  rig.session.reset(2, 'not-allowed', 'no');
  answerPing(rig);
  rig.feed(openFrame(4, 100));
  rig.session.reset(4, 'not-allowed', 'no');
  assert.deepEqual(toldEnds(rig), [['ended', 4, 'not-allowed']]);
});

test('a clean end is told until its last CREDIT was read, with and without a resume time', () => {
  for (const resumeTimeMs of [60_000, 0]) {
    const rig = established('dialler', { resumeTimeMs });
    const stream = open(rig);
    rig.feed(acceptFrame(stream, 100));
    rig.session.end(stream);
    rig.sent();
    rig.feed(
      frame((writer) => writer.credit(stream, 100, 0, FLAG_FIN_DELIVERED)),
      frame((writer) => writer.fin(stream, 0)),
    );
    rig.session.finDelivered(stream);
    assert.equal(rig.kinds().at(-1), 'finished');
    rig.add();
    rig.lose(1);
    const [resume] = rig.sent();
    assert.deepEqual(resumeRecords(resume!).at(-1), ['ended', 1, undefined]);
  }
});

test('a peer that confirms none of 262,144 ends, while it goes on talking, ends the session', () => {
  const rig = established('dialler');
  let last = 0;
  const end = (count: number) => {
    for (let i = 0; i < count; i++) {
      last = open(rig);
      rig.session.reset(last, 'cancelled', 'enough');
    }
    rig.session.pollTransmit(rig.lane, Number.MAX_SAFE_INTEGER);
    rig.feed(resumeFrame((writer) => writer.opened(last, 0)));
  };
  for (let i = 0; i < 4; i++) end(65_536);
  assert.deepEqual(rig.kinds(), []);
  end(1);
  const { code, reason } = rig.closed();
  assert.deepEqual([code, reason], ['overload', 'the peer does not confirm the ends of streams']);
});

test('ends that are said again on their own lane are listed once', () => {
  const tombstones = new Tombstones();
  tombstones.add(1, 'cancelled', 1);
  tombstones.pinged(1, 10);
  tombstones.saidAgain(1);
  tombstones.pinged(1, 11);
  const confirmed: number[] = [];
  for (const sequence of [10, 11]) tombstones.ponged(1, sequence, (id) => confirmed.push(id));
  assert.deepEqual(confirmed, [1]);
});

test('many ends on a lane bring a PING forward', () => {
  const rig = established('dialler');
  for (let i = 0; i < 1_024; i++) {
    rig.session.reset(open(rig), 'cancelled', 'enough');
    if (i === 1_022) assert.ok(!rig.sentNames().includes('PING'));
  }
  assert.deepEqual(rig.sentNames(), ['OPEN 2047', 'RESET 2047', 'PING']);
  assert.deepEqual(rig.sentNames(), []);
});
