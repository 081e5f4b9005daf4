import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WINDOW_BYTES_MIN } from '../../../../packages/proto/src/session/flow/receive-window.ts';
import {
  PROTOCOL_VERSIONS,
  sameText,
} from '../../../../packages/proto/src/session/lanes/handshake.ts';
import { FrameType } from '../../../../packages/proto/src/wire/layout.ts';
import { type Hello, parseClose, parseHello } from '../../../../packages/proto/src/wire/payload.ts';
import {
  frame,
  helloFrame,
  helloOf,
  readFrames,
  sessionOptions,
} from '../../../support/session/frames.ts';
import { Pair } from '../../../support/session/session-pair.ts';
import { REFUSALS } from './refusals.ts';
import { prove, Rig, WALL_OFFSET_MS } from '../../../support/session/session-rig.ts';

const SECRET = sessionOptions('acceptor').secret;

/** A dialler whose first lane waits for its answer. */
function dialling(): Rig {
  const rig = new Rig('dialler');
  rig.dial();
  rig.sent();
  return rig;
}

function answer(rig: Rig, changes: Partial<Hello>): void {
  const hello = { ...helloOf(rig.peer), ...changes };
  rig.feed(frame((writer) => writer.json(FrameType.HELLO, 0, 0, hello)));
}

test('the dialler speaks first; the acceptor answers once it admits; each then sends a PING', () => {
  const dialler = new Rig('dialler');
  assert.equal(dialler.dial(), 1);
  const [hello, ...more] = dialler.sent();
  assert.equal(more.length, 0);
  assert.deepEqual(parseHello(hello!.payload), {
    versions: [1],
    capabilities: [],
    fabric: 'acme',
    site: 'red',
    node: 'red1',
    software: 'routy/test',
    instance: '0'.repeat(32),
    session: { id: 'a'.repeat(32), epoch: 1 },
    settings: { heartbeat_interval: '5s' },
    initialWindow: WINDOW_BYTES_MIN,
    clockUs: (1_000 + WALL_OFFSET_MS) * 1000,
  });
  const acceptor = new Rig('acceptor');
  const first = helloOf(acceptor.peer);
  assert.equal(acceptor.session.judge(first, prove), undefined);
  assert.equal(acceptor.session.established, false);
  const lane = acceptor.session.admit(acceptor.nowMs, first, prove);
  assert.deepEqual(acceptor.events(), [
    { kind: 'established', hello: first, capabilities: [] },
    { kind: 'lane-up', lane },
  ]);
  const [answered, ping] = acceptor.sent(undefined, lane);
  assert.deepEqual(parseHello(answered!.payload).session, {
    id: 'a'.repeat(32),
    epoch: 1,
    secret: SECRET,
  });
  assert.equal(ping!.type, FrameType.PING);
  dialler.feed(helloFrame(dialler.peer));
  assert.deepEqual(dialler.kinds(), ['established', 'lane-up']);
  assert.deepEqual(dialler.sentNames(), ['PING']);
});

test('both ends end up with the session the dialler named, the dialler with its secret', () => {
  const sessionId = 'b'.repeat(32);
  const pair = new Pair({ sessionId, replaces: 'c'.repeat(32) }, { sessionId });
  const sessions = [pair.diallerEvents, pair.acceptorEvents].map((events) => {
    const [event] = events;
    assert.ok(event?.kind === 'established');
    return event.hello.session;
  });
  assert.deepEqual(sessions, [
    { id: sessionId, epoch: 1, secret: SECRET },
    { id: sessionId, epoch: 1, replaces: 'c'.repeat(32) },
  ]);
});

test('versions and capabilities of which one side knows nothing do no harm', () => {
  const rig = dialling();
  answer(rig, { versions: [9, 1], capabilities: ['later'] });
  const [event] = rig.events();
  assert.ok(event?.kind === 'established');
  assert.deepEqual(event.capabilities, []);
  assert.deepEqual([...PROTOCOL_VERSIONS], [1]);
});

test('a HELLO of another version is named so, whatever else it says', () => {
  const rig = dialling();
  const hello = { versions: [7, 2], who: 'somebody from the future' };
  rig.feed(frame((writer) => writer.json(FrameType.HELLO, 0, 0, hello)));
  const { code, reason } = rig.laneClosed();
  assert.equal(code, 'version-mismatch');
  assert.equal(reason, 'session protocol: version 1 here, versions 7, 2 at the peer');
});

for (const { name, changes, code, reason } of REFUSALS) {
  test(`${name}: the dialler refuses, and says why`, () => {
    const rig = dialling();
    answer(rig, changes);
    const [lane, closed, ...more] = rig.events();
    assert.equal(more.length, 0);
    assert.ok(lane?.kind === 'lane-closed' && closed?.kind === 'closed');
    assert.deepEqual([closed.code, lane.code, closed.remote], [code, code, false]);
    assert.match(closed.reason, reason);
    const [close] = readFrames(lane.last);
    assert.deepEqual(parseClose(close!.payload), { code, reason: closed.reason });
  });
}

test('a difference in settings is named on both ends, each from its own point of view', () => {
  const changes = { settings: { heartbeat_interval: '3s', resume_time: '60s' } };
  const pair = new Pair({ settings: { heartbeat_interval: '5s', resume_time: '60s' } }, changes);
  const closed = pair.diallerEvents.at(-1);
  assert.ok(closed?.kind === 'closed');
  assert.equal(closed.code, 'settings-mismatch');
  assert.equal(closed.reason, 'heartbeat_interval: 5s here, 3s at gray/gray1');
  assert.deepEqual(
    [pair.refused?.code, pair.refused?.reason],
    ['settings-mismatch', 'heartbeat_interval: 3s here, 5s at red/red1'],
  );
});

const ANSWERS: readonly { name: string; session: Hello['session']; reason: string }[] = [
  {
    name: 'another session',
    session: { id: 'c'.repeat(32), epoch: 1, secret: SECRET },
    reason: 'the peer answered for another session',
  },
  {
    name: 'another epoch',
    session: { id: 'a'.repeat(32), epoch: 2, secret: SECRET },
    reason: 'the peer answered for another session',
  },
  {
    name: 'no secret',
    session: { id: 'a'.repeat(32), epoch: 1 },
    reason: 'the peer began a session without a secret',
  },
];

for (const { name, session, reason } of ANSWERS) {
  test(`an answer with ${name} is none`, () => {
    const rig = dialling();
    answer(rig, { session });
    const closed = rig.closed();
    assert.deepEqual([closed.code, closed.reason], ['protocol-error', reason]);
    assert.ok(rig.session.closed);
  });
}

test('an acceptor may close instead of answering; the dialler hears why', () => {
  const rig = dialling();
  rig.feed(frame((writer) => writer.close('stale-epoch', 'there is a newer one')));
  const ending = { code: 'stale-epoch', reason: 'there is a newer one', remote: true } as const;
  assert.deepEqual(rig.events(), [
    { kind: 'lane-closed', lane: 1, ...ending, abort: false, last: [] },
    { kind: 'closed', ...ending },
  ]);
});

test('a dialler gives up when no answer comes in time', () => {
  const rig = dialling();
  assert.equal(rig.session.pollTimeout(), rig.nowMs + 10_000);
  rig.pass(9_999);
  rig.session.handleTimeout(rig.nowMs);
  assert.equal(rig.session.closed, false);
  rig.pass(1);
  const closed = rig.closed();
  assert.deepEqual(
    [closed.code, closed.reason],
    ['handshake-timeout', 'no HELLO from the peer in time'],
  );
  assert.equal(rig.session.pollTimeout(), undefined);
  rig.session.handleTimeout(rig.nowMs);
  assert.deepEqual(rig.kinds(), []);
});

test('the first lane may go at any time, and the session with it', () => {
  const rig = dialling();
  rig.lose();
  const ending = { code: 'lane-lost', reason: 'connection reset', remote: false } as const;
  assert.deepEqual(rig.events(), [
    { kind: 'lane-closed', lane: 1, ...ending, abort: true, last: [] },
    { kind: 'closed', ...ending },
  ]);
  rig.lose();
  rig.session.close(rig.nowMs, 'shutdown', 'again');
  rig.feed(helloFrame(rig.peer));
  assert.deepEqual(rig.kinds(), []);
  assert.equal(rig.session.established, false);
});

test('texts are the same only when every character is', () => {
  assert.ok(sameText('abc', 'abc'));
  for (const other of ['abd', 'xbc', 'ab', 'abcd', '']) assert.ok(!sameText(other, 'abc'), other);
});
