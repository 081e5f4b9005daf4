import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LaneCode } from '../../../../packages/proto/src/wire/codes.ts';
import { FLAG_FIN_DELIVERED } from '../../../../packages/proto/src/wire/layout.ts';
import { parseClose } from '../../../../packages/proto/src/wire/payload.ts';
import {
  acceptFrame,
  dataFrame,
  frame,
  openFrame,
  readFrames,
  resumeRecords,
} from '../../../support/session/frames.ts';
import { Pair } from '../../../support/session/session-pair.ts';
import { established, nameOf, open, type Role } from '../../../support/session/session-rig.ts';

const ROLES: readonly Role[] = ['dialler', 'acceptor'];

function closeFrame(code: LaneCode, reason: string): Uint8Array {
  return frame((writer) => writer.close(code, reason));
}

for (const role of ROLES) {
  test(`${role}: lanes come and go, and each step is told in order`, () => {
    const rig = established(role);
    const { session } = rig;
    assert.equal(rig.join(), 2);
    assert.deepEqual(rig.events(), [{ kind: 'lane-up', lane: 2 }]);
    assert.deepEqual([session.laneCount, session.suspended], [2, false]);
    rig.lose(1);
    assert.deepEqual(rig.kinds(), ['lane-closed']);
    rig.lose(2);
    const [closed, suspended, ...none] = rig.events();
    assert.ok(closed?.kind === 'lane-closed' && closed.abort && closed.lane === 2);
    assert.deepEqual([suspended, none], [{ kind: 'suspended' }, []]);
    assert.deepEqual(
      [session.established, session.suspended, session.closed, session.laneCount],
      [true, true, false, 0],
    );
    rig.nowMs += 1_500;
    assert.equal(rig.join(), 3);
    assert.deepEqual(rig.events(), [
      { kind: 'lane-up', lane: 3 },
      { kind: 'resumed', lane: 3, suspendedMs: 1_500 },
    ]);
    assert.equal(session.suspended, false);
    session.close(rig.nowMs, 'shutdown', 'enough');
    assert.deepEqual(rig.kinds(), ['lane-closed', 'closed']);
  });
}

test('what a lane that is gone still brings, or takes, is nothing', () => {
  const rig = established('acceptor');
  rig.join();
  rig.events();
  rig.lose(1);
  rig.events();
  rig.feedOn(1, openFrame(1, 100));
  rig.lose(1);
  rig.session.closeLane(rig.nowMs, 1, 'again');
  assert.deepEqual(rig.kinds(), []);
  assert.deepEqual(rig.sentNames(1), []);
});

for (const [role, keptMs] of [
  ['dialler', 60_000],
  ['acceptor', 75_000],
] as const) {
  test(`a suspended ${role} gives up ${keptMs / 1000} s after the last byte it heard`, () => {
    const rig = established(role);
    open(rig);
    rig.nowMs += 4_000;
    rig.feed(frame((writer) => writer.ping(9, 1)));
    rig.nowMs += 3_000;
    rig.lose();
    rig.events();
    assert.equal(rig.session.pollTimeout(), rig.nowMs + keptMs - 3_000);
    rig.pass(keptMs - 3_001);
    assert.deepEqual(rig.kinds(), []);
    rig.pass(1);
    const reason = `no lane, and nothing heard for ${keptMs / 1000} s`;
    assert.deepEqual(rig.events(), [
      { kind: 'reset', stream: role === 'dialler' ? 1 : 2, code: 'session-lost', reason },
      { kind: 'closed', code: 'resume-timeout', reason, remote: false },
    ]);
    assert.equal(rig.session.pollTimeout(), undefined);
    assert.equal(rig.session.established, false);
  });
}

test('lanes that are dialled in vain do not put the end off', () => {
  const rig = established('dialler');
  rig.lose();
  rig.events();
  for (let i = 0; i < 5; i++) {
    rig.pass(9_000);
    rig.dial();
    rig.feed(closeFrame('stale-epoch', 'no'));
    assert.deepEqual(rig.kinds(), ['lane-closed'], 'and it is suspended once');
  }
  rig.dial();
  rig.pass(14_999);
  rig.events();
  rig.dial();
  rig.pass(1);
  assert.deepEqual(rig.kinds(), ['lane-closed', 'closed']);
});

test('silence longer than the resume time ends the session with its last lane', () => {
  const rig = established('dialler', { resumeTimeMs: 10_000 });
  rig.pass(15_000);
  assert.deepEqual(rig.kinds(), ['lane-closed', 'suspended', 'closed']);
});

for (const role of ROLES) {
  test(`without a resume time a ${role}'s session ends with its last lane, not before`, () => {
    const rig = established(role, { resumeTimeMs: 0 });
    const stream = open(rig);
    rig.join();
    rig.events();
    rig.lose(1);
    assert.deepEqual(rig.kinds(), ['lane-closed']);
    rig.lose(2);
    const events = rig.events();
    const kinds = events.map((event) => event.kind);
    assert.deepEqual(kinds, ['lane-closed', 'suspended', 'reset', 'closed']);
    assert.deepEqual(events.at(-1), {
      kind: 'closed',
      code: 'lane-lost',
      reason: 'connection reset',
      remote: false,
    });
    assert.equal(rig.session.streamCount, 0, `stream ${stream}`);
  });
}

test('a lane given up in order is ended with lane-done, and the other carries on', () => {
  const pair = new Pair();
  pair.dial();
  pair.dialler.session.closeLane(pair.dialler.nowMs, 1, 'one is enough');
  pair.exchange();
  const closed = pair.diallerEvents.find((event) => event.kind === 'lane-closed');
  assert.ok(closed !== undefined);
  const { lane, code, reason, remote, abort, last } = closed;
  assert.deepEqual(
    [lane, code, reason, remote, abort],
    [1, 'lane-done', 'one is enough', false, false],
  );
  const [close] = readFrames(last);
  assert.deepEqual(parseClose(close!.payload), { code, reason });
  for (const { session } of [pair.dialler, pair.acceptor]) {
    assert.deepEqual([session.laneCount, session.suspended], [1, false]);
  }
});

test('lane-done on the last lane leaves the session suspended', () => {
  const rig = established('acceptor');
  rig.feed(closeFrame('lane-done', 'another path'));
  assert.deepEqual(rig.kinds(), ['lane-closed', 'suspended']);
});

for (const code of ['normal', 'shutdown', 'lane-lost', 'internal', 'unknown-session'] as const) {
  test(`CLOSE ${code} on an established lane ends the session`, () => {
    const rig = established('dialler');
    rig.join();
    rig.events();
    rig.sent(undefined, 1);
    rig.feedOn(2, closeFrame(code, 'bye'));
    const [first, second, closed] = rig.events();
    assert.ok(first?.kind === 'lane-closed' && second?.kind === 'lane-closed');
    assert.deepEqual(closed, { kind: 'closed', code, reason: 'bye', remote: true });
    assert.deepEqual([first.last, second.lane], [[], 2], 'whoever closes needs no answer');
  });
}

test('the end of the session is said on every lane, also on one that is not answered yet', () => {
  const rig = established('dialler');
  rig.join();
  rig.dial();
  rig.events();
  for (const lane of [1, 2, 3]) rig.sent(undefined, lane);
  rig.session.close(rig.nowMs, 'shutdown', 'good night');
  const closed = rig.events();
  assert.equal(closed.pop()?.kind, 'closed');
  for (const [index, event] of closed.entries()) {
    assert.ok(event.kind === 'lane-closed' && event.lane === index + 1);
    const { code, reason } = parseClose(readFrames(event.last)[0]!.payload);
    assert.deepEqual([code, reason], ['shutdown', 'good night']);
  }
  assert.equal(closed.length, 3);
});

test('of more than 16 lanes the oldest goes', () => {
  const pair = new Pair();
  for (let lane = 2; lane <= 16; lane++) pair.dial();
  assert.equal(pair.acceptor.session.laneCount, 16);
  pair.dial();
  const closed = pair.acceptorEvents.filter((event) => event.kind === 'lane-closed');
  assert.deepEqual(
    closed.map(({ lane, code, reason }) => [lane, code, reason]),
    [[1, 'lane-done', 'the session has too many lanes']],
  );
  const lanes = pair.dialler.session.lanes().map(({ lane }) => lane);
  assert.deepEqual([lanes.length, lanes[0], lanes.at(-1)], [16, 2, 17]);
});

test('a violation on a lane that is not established ends that lane, later ones the session', () => {
  const rig = established('dialler');
  rig.dial();
  rig.sent();
  rig.feed(dataFrame(1, 0, new Uint8Array(3)));
  const { code, reason, last } = rig.laneClosed();
  assert.equal(code, 'protocol-error');
  assert.equal(reason, 'frame-order: DATA on a lane that is waiting for HELLO');
  assert.deepEqual(last.map(nameOf), ['CLOSE']);
  assert.equal(parseClose(last[0]!.payload).code, 'lane-done', 'the acceptor may have admitted it');
  rig.feedOn(1, dataFrame(2, 0, new Uint8Array(3)));
  assert.equal(rig.closed().reason, 'stream-id: stream 2 was never opened');
});

test('what follows CLOSE lane-done on its lane is not looked at, were it no frame at all', () => {
  const rig = established('dialler');
  rig.feed(closeFrame('lane-done', 'enough'), openFrame(2, 100), new Uint8Array(24).fill(255));
  assert.deepEqual(rig.kinds(), ['lane-closed', 'suspended']);
});

test('lanes, and what each of them carries, can be told', () => {
  const pair = new Pair();
  const { dialler } = pair;
  const stream = open(dialler);
  dialler.session.write(dialler.nowMs, stream, new Uint8Array(700));
  pair.exchange();
  dialler.dial();
  const facts = dialler.session.lanes().map(({ heardAtMs, ...rest }) => {
    assert.equal(heardAtMs, dialler.nowMs);
    return rest;
  });
  assert.deepEqual(facts, [
    { lane: 1, established: true, rttMs: 0, streams: 1, bytesSent: 700 },
    { lane: 2, established: false, rttMs: undefined, streams: 0, bytesSent: 0 },
  ]);
  assert.equal(dialler.session.laneCount, 1);
});

test('a stream is at home on the lane with the fewest, a bulk stream counting for eight more', () => {
  const rig = established('dialler');
  rig.add();
  const homes = () => rig.session.lanes().map(({ streams }) => streams);
  const streams = [open(rig), open(rig), open(rig)];
  assert.deepEqual(homes(), [2, 1]);
  assert.deepEqual(rig.said(1), ['OPEN 1', 'OPEN 5']);
  assert.deepEqual(rig.said(2), ['OPEN 3']);
  rig.feedOn(2, acceptFrame(streams[1]!, 10_000_000));
  rig.session.write(rig.nowMs, streams[1]!, new Uint8Array(1_000_000));
  for (let i = 0; i < 8; i++) open(rig);
  assert.deepEqual(homes(), [10, 1]);
  open(rig);
  assert.deepEqual(homes(), [10, 2]);
});

test('the peer’s streams are at home where its OPEN came', () => {
  const rig = established('dialler');
  rig.join();
  rig.feedOn(2, openFrame(2, 100), openFrame(4, 100));
  assert.deepEqual(
    rig.session.lanes().map(({ streams }) => streams),
    [0, 2],
  );
  rig.said(2);
  rig.session.accept(2);
  rig.session.reset(4, 'not-allowed', 'no');
  assert.deepEqual([rig.said(1), rig.said(2)], [[], ['ACCEPT 2', 'RESET 4']]);
});

test('a lane that comes up takes its share of the streams the peer has open', () => {
  const rig = established('dialler');
  const streams = [open(rig), open(rig), open(rig), open(rig)];
  for (const stream of streams.slice(1)) rig.feed(acceptFrame(stream, 100_000));
  rig.session.write(rig.nowMs, streams[1]!, Uint8Array.of(1));
  rig.sent();
  rig.session.write(rig.nowMs, streams[1]!, Uint8Array.of(2));
  rig.session.write(rig.nowMs, streams[0]!, Uint8Array.of(3));
  rig.join();
  assert.deepEqual(rig.said(2), ['HELLO', 'DATA 3']);
  assert.deepEqual(rig.said(1), ['DATA 1']);
  assert.deepEqual(
    rig.session.lanes().map(({ streams: count }) => count),
    [2, 2],
  );
  rig.events();
  rig.lose(1);
  assert.deepEqual(rig.said(2), ['RESUME'], 'both have used the lane, and wait for a RESUME');
  rig.session.write(rig.nowMs, streams[1]!, Uint8Array.of(4));
  assert.deepEqual(rig.said(2), []);
});

test('a stream that moved says its end again where it ends', () => {
  const rig = established('dialler');
  const streams = [open(rig), open(rig), open(rig)];
  for (const stream of streams) rig.feed(acceptFrame(stream, 100_000));
  rig.feed(frame((writer) => writer.fin(1, 0)));
  rig.session.finDelivered(1);
  rig.session.end(1);
  rig.said();
  rig.add();
  rig.feedOn(
    1,
    frame((writer) => writer.credit(1, 100_000, 0, FLAG_FIN_DELIVERED)),
  );
  assert.equal(rig.kinds().at(-1), 'finished');
  assert.deepEqual([rig.said(1), rig.said(2)], [[], ['CREDIT 1']]);
  rig.lose(2);
  const [resume] = rig.sent(undefined, 1);
  assert.deepEqual(resumeRecords(resume!).at(-1), ['ended', 1, undefined]);
});

test('without a lane there is nothing to ping', () => {
  const rig = established('acceptor');
  rig.lose();
  assert.equal(rig.session.ping(rig.nowMs), 0);
  assert.equal(rig.session.rttMs, undefined);
  assert.equal(rig.session.clockOffsetMs, undefined);
  assert.deepEqual(rig.session.lanes(), []);
});
