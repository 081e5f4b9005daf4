import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FrameType } from '../../../../packages/proto/src/wire/layout.ts';
import { frame, resumeFrame } from '../../../support/session/frames.ts';
import { Pair } from '../../../support/session/session-pair.ts';
import { has, peerResumes, threeStreams } from './resume-rig.ts';
import { established, open, type Role } from '../../../support/session/session-rig.ts';

const ROLES: readonly Role[] = ['dialler', 'acceptor'];

/** Whose frames stay on lane 2, and who notices that lane 1 is lost. */
const HOLES: readonly (readonly [readonly Role[], readonly Role[]])[] = [
  [ROLES, ['dialler']],
  [ROLES, ['acceptor']],
  [ROLES, ROLES],
  [['dialler'], ['dialler']],
  [['acceptor'], ['acceptor']],
];

/** Stream 1 is open, at home on lane 1; lane 2 is there as well, and what `held` send stays on it. */
function pairOfLanes(held: readonly Role[]): Pair {
  const pair = new Pair();
  open(pair.dialler);
  pair.exchange();
  pair.acceptor.session.accept(1);
  pair.exchange();
  pair.dial();
  pair.hold(2, ...held);
  return pair;
}

function writeBoth(pair: Pair, length: number): void {
  for (const role of ROLES) {
    pair[role].session.write(pair[role].nowMs, 1, new Uint8Array(length));
  }
  pair.exchange();
}

function bytesOf(pair: Pair): number[] {
  return [pair.diallerEvents, pair.acceptorEvents].map((events) =>
    events.reduce((sum, event) => sum + (event.kind === 'data' ? event.bytes.length : 0), 0),
  );
}

for (const [held, noticedBy] of HOLES) {
  const name = `${noticedBy.join(' and ')} lost lane 1, ${held.join(' and ')} says its set in vain`;
  test(`${name}: streams go on with lane 3 at once, and what comes late changes nothing`, () => {
    const pair = pairOfLanes(held);
    pair.cut(1, ...noticedBy);
    pair.exchange();
    pair.dial();
    writeBoth(pair, 100);
    assert.deepEqual(bytesOf(pair), [100, 100]);
    pair.release(2);
    writeBoth(pair, 10);
    assert.deepEqual(bytesOf(pair), [110, 110]);
    for (const role of ROLES) assert.equal(pair[role].session.totals.bytesReplayed, 0);
    assert.equal(pair.dialler.session.laneCount, 2);
  });
}

test('a set that the peer has not confirmed begins each new lane; one that it has does not', () => {
  const rig = threeStreams();
  rig.add();
  rig.lose(1);
  assert.deepEqual(rig.sentNames(2).slice(0, 2), ['RESUME', 'PING']);
  rig.join();
  assert.deepEqual(rig.sentNames(3).slice(0, 3), ['HELLO', 'RESUME', 'PING']);
  const ping = rig.session.ping(rig.nowMs);
  const other = rig.sent(undefined, 2).concat(rig.sent(undefined, 3));
  assert.equal(other.filter(({ type }) => type === FrameType.PING).length, 1);
  for (const lane of [2, 3]) rig.feedOn(lane, pong(ping));
  rig.join();
  assert.deepEqual(rig.sentNames(4), ['HELLO', 'PING']);
});

test('a PONG that is older than the last loss confirms nothing', () => {
  const rig = established('dialler');
  rig.add();
  rig.add();
  rig.lose(1);
  const [, ping] = rig.sent(undefined, 3);
  assert.equal(ping?.type, FrameType.PING);
  rig.lose(2);
  rig.feedOn(3, pong(ping.offset));
  rig.join();
  assert.deepEqual(rig.sentNames(4).slice(0, 2), ['HELLO', 'RESUME']);
});

test('a set is said on the lane that was heard last', () => {
  const rig = established('dialler');
  for (let i = 0; i < 3; i++) rig.add();
  rig.nowMs += 10;
  rig.feedOn(
    3,
    frame((writer) => writer.ping(1, 1)),
  );
  rig.sentNames(3);
  rig.lose(1);
  assert.deepEqual(rig.sentNames(3), ['RESUME', 'PING']);
  assert.deepEqual([rig.sentNames(2), rig.sentNames(4)], [[], []]);
});

test('streams settle where the peer’s set came; it may be said again, on any lane', () => {
  const rig = threeStreams();
  for (let i = 0; i < 2; i++) rig.add();
  rig.lose(1);
  rig.events();
  for (const lane of [2, 3]) rig.said(lane);
  const ids = [1, 3, 5];
  peerResumes(rig, [5, 0], (writer) => {
    for (const id of ids) has(id, 400)(writer);
  });
  assert.deepEqual(rig.said(2), []);
  assert.equal(rig.said(3).filter((name) => name.startsWith('DATA')).length, 3);
  const replayed = rig.session.totals.bytesReplayed;
  for (const lane of [2, 3, 2]) {
    const received = lane === 3 ? 400 : 300;
    const again = resumeFrame((writer) => {
      writer.opened(5, 0);
      for (const id of ids) has(id, received)(writer);
    });
    rig.feedOn(lane, again);
    assert.deepEqual([rig.kinds(), rig.said(2), rig.said(3)], [[], [], []]);
  }
  assert.equal(rig.session.totals.bytesReplayed, replayed);
});

function pong(sequence: number): Uint8Array {
  return frame((writer) => writer.pong(sequence, 0, 0, 0));
}
