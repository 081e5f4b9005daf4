import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LaneLink } from '../../../packages/link/src/driver/lanes/lane-link.ts';
import {
  type HandshakeEnd,
  PendingLane,
} from '../../../packages/link/src/driver/lanes/pending-lane.ts';
import { PeerScheduler } from '../../../packages/link/src/driver/peer-scheduler.ts';
import { makeHello, type Refusal } from '../../../packages/proto/src/session/lanes/handshake.ts';
import type { HandshakeOptions } from '../../../packages/proto/src/session/options.ts';
import { FrameType } from '../../../packages/proto/src/wire/layout.ts';
import { parseClose } from '../../../packages/proto/src/wire/payload.ts';
import { FakeLane } from './fake-lane.ts';
import { concat, frame, readFrames } from '../../support/session/frames.ts';

const red = { fabric: 'f', site: 'red', node: 'red1' };
const gray = { fabric: 'f', site: 'gray', node: 'gray1' };
const SESSION = { id: 'a'.repeat(32), epoch: 1 };

function options(self = gray, peer = red): HandshakeOptions {
  const instance = '0'.repeat(32);
  return { self, peer, software: 't', instance, settings: {}, handshakeTimeoutMs: 10_000 };
}

const hello = frame((writer) => {
  writer.json(FrameType.HELLO, 0, 0, makeHello(options(red, gray), SESSION, 0));
});
const ping = frame((writer) => writer.ping(1, 0));

/** A pending whose owner gives this answer to every HELLO. */
function greet(answer?: Refusal) {
  const lane = new FakeLane(red);
  const link = new LaneLink(lane, new PeerScheduler().of('red/red1'), () => {});
  const routed: { id: string; early: boolean }[] = [];
  const ends: (HandshakeEnd | undefined)[] = [];
  const pending = new PendingLane(link, options(), {
    route: (_link, { session }, early) => {
      routed.push({ id: session.id, early });
      return answer;
    },
    decided: (_greeter, end) => ends.push(end),
  });
  const closes = () =>
    readFrames(lane.written)
      .filter(({ type }) => type === FrameType.CLOSE)
      .map(({ payload }) => parseClose(payload).code);
  return { lane, link, pending, routed, ends, closes };
}

test('a HELLO in pieces is routed once it is whole, and the lane is the router’s', () => {
  const { lane, routed, ends } = greet();
  lane.data(hello.slice(0, 30));
  assert.deepEqual(routed, []);
  lane.data(hello.slice(30));
  assert.deepEqual(routed, [{ id: SESSION.id, early: false }]);
  assert.deepEqual(ends, [undefined]);
  assert.equal(lane.ended, undefined);
});

test('frames that follow the HELLO at once are told apart', () => {
  const { lane, routed } = greet();
  lane.data(concat([hello, ping]));
  assert.deepEqual(routed, [{ id: SESSION.id, early: true }]);
});

test('a refusal is said, and the lane ended', () => {
  const { lane, ends, closes } = greet({ code: 'unknown-session', reason: 'no such session' });
  lane.data(hello);
  assert.deepEqual(closes(), ['unknown-session']);
  assert.equal(lane.ended, 'end');
  assert.deepEqual(ends, [{ code: 'unknown-session', reason: 'no such session', remote: false }]);
});

test('what is no HELLO, and a lane that ends, come to nothing', () => {
  const wrong = greet();
  wrong.lane.data(ping);
  assert.deepEqual(wrong.closes(), ['protocol-error']);
  assert.equal(wrong.ends[0]?.code, 'protocol-error');
  const ended = greet();
  ended.lane.close();
  assert.deepEqual(ended.ends[0], {
    code: 'lane-lost',
    reason: 'the peer ended the lane',
    remote: false,
  });
  assert.deepEqual([...wrong.routed, ...ended.routed], []);
});

test('a lane without a HELLO is refused in time', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { ends, closes } = greet();
  t.mock.timers.tick(9_999);
  assert.equal(ends.length, 0);
  t.mock.timers.tick(1);
  assert.deepEqual(closes(), ['handshake-timeout']);
  assert.equal(ends[0]?.code, 'handshake-timeout');
});
