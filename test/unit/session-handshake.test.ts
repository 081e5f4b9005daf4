import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  CAPABILITIES,
  judgeHello,
  makeHello,
  PROTOCOL_VERSIONS,
} from '../../src/session/handshake.ts';
import { WINDOW_BYTES_MIN } from '../../src/session/receive-window.ts';
import { FrameType } from '../../src/wire/layout.ts';
import { type Hello, parseClose, parseHello } from '../../src/wire/payload.ts';
import { frame, helloFrame, sessionOptions } from '../support/frames.ts';
import { Pair, Rig, WALL_OFFSET_MS } from './session-rig.ts';

function helloOf(role: 'dialler' | 'acceptor', changes: Partial<Hello> = {}): Hello {
  const options = sessionOptions(role);
  const session = { id: options.sessionId, epoch: options.epoch };
  return { ...makeHello(options, session, 0), ...changes };
}

function feedHello(rig: Rig, hello: Hello): void {
  rig.feed(frame((writer) => writer.json(FrameType.HELLO, 0, 0, hello)));
}

test('the dialler speaks first; the acceptor answers once it admits; each then sends a PING', () => {
  const dialler = new Rig('dialler');
  const acceptor = new Rig('acceptor');
  assert.deepEqual(acceptor.sentNames(), []);
  const [hello] = dialler.sent();
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
  acceptor.feed(helloFrame(sessionOptions('dialler')));
  assert.deepEqual(acceptor.kinds(), ['hello']);
  assert.deepEqual(acceptor.sentNames(), []);
  assert.equal(acceptor.session.established, false);
  acceptor.session.admit(acceptor.nowMs);
  acceptor.session.admit(acceptor.nowMs);
  assert.deepEqual(acceptor.kinds(), ['established']);
  assert.deepEqual(acceptor.sentNames(), ['HELLO', 'PING']);
  feedHello(dialler, helloOf('acceptor'));
  assert.deepEqual(dialler.kinds(), ['established']);
  assert.deepEqual(dialler.sentNames(), ['PING']);
});

test('both ends end up with the session the dialler named', () => {
  const pair = new Pair({ sessionId: 'b'.repeat(32), epoch: 7 }, { sessionId: '', epoch: 0 });
  const sessions = [pair.diallerEvents, pair.acceptorEvents].map((events) => {
    const event = events.find((each) => each.kind === 'established');
    assert.ok(event?.kind === 'established');
    return event.hello.session;
  });
  assert.deepEqual(sessions, [
    { id: 'b'.repeat(32), epoch: 7 },
    { id: 'b'.repeat(32), epoch: 7 },
  ]);
});

test('a good HELLO makes an agreement on version and capabilities', () => {
  const hello = helloOf('acceptor', { versions: [9, 1], capabilities: ['later'] });
  assert.deepEqual(judgeHello(sessionOptions('dialler'), hello), {
    version: 1,
    capabilities: [],
  });
  assert.deepEqual([...PROTOCOL_VERSIONS], [1]);
  assert.deepEqual([...CAPABILITIES], []);
});

const REFUSALS: readonly { name: string; changes: Partial<Hello>; code: string; reason: RegExp }[] =
  [
    {
      name: 'another version',
      changes: { versions: [2, 3] },
      code: 'version-mismatch',
      reason: /^this node speaks versions 1, the peer 2, 3$/,
    },
    {
      name: 'another fabric',
      changes: { fabric: 'evil' },
      code: 'identity-mismatch',
      reason: /says it is routy:\/\/evil\/.*, its certificate says routy:\/\/acme\//,
    },
    {
      name: 'another site',
      changes: { site: 'blue' },
      code: 'identity-mismatch',
      reason: /routy:\/\/acme\/blue\//,
    },
    {
      name: 'another node',
      changes: { node: 'other' },
      code: 'identity-mismatch',
      reason: /\/other, its certificate/,
    },
    {
      name: 'another value of a setting',
      changes: { settings: { heartbeat_interval: '3s' } },
      code: 'settings-mismatch',
      reason: /^heartbeat_interval: 5s here, 3s at (red\/red1|gray\/gray1)$/,
    },
    {
      name: 'a setting the other does not have, and one it lacks',
      changes: { settings: { resume_time: '60s' } },
      code: 'settings-mismatch',
      reason:
        /^heartbeat_interval: 5s here, not set at \S+; resume_time: not set here, 60s at \S+$/,
    },
    {
      name: 'a setting with the name of something every object has',
      changes: { settings: { heartbeat_interval: '5s', constructor: 'x' } as never },
      code: 'settings-mismatch',
      reason: /^constructor: not set here, x at/,
    },
  ];

for (const { name, changes, code, reason } of REFUSALS) {
  test(`${name}: the acceptor refuses, and says HELLO and why`, () => {
    const rig = new Rig('acceptor');
    feedHello(rig, helloOf('dialler', changes));
    const closed = rig.closed();
    assert.deepEqual([closed.code, closed.remote], [code, false]);
    assert.match(closed.reason, reason);
    const [hello, close] = rig.sent();
    assert.equal(hello!.type, FrameType.HELLO);
    assert.deepEqual(parseClose(close!.payload), { code, reason: closed.reason });
  });

  test(`${name}: the dialler refuses, and says why`, () => {
    const rig = new Rig('dialler');
    rig.sent();
    feedHello(rig, helloOf('acceptor', changes));
    const closed = rig.closed();
    assert.equal(closed.code, code);
    assert.match(closed.reason, reason);
    assert.deepEqual(rig.sentNames(), ['CLOSE']);
  });
}

test('a difference in settings is named on both ends, each from its own point of view', () => {
  const changes = { settings: { heartbeat_interval: '3s', resume_time: '60s' } };
  const pair = new Pair({ settings: { heartbeat_interval: '5s', resume_time: '60s' } }, changes);
  const [here, there] = [pair.diallerEvents, pair.acceptorEvents].map((events) => {
    const event = events.find((each) => each.kind === 'closed');
    assert.ok(event?.kind === 'closed');
    assert.equal(event.code, 'settings-mismatch');
    return event.reason;
  });
  assert.equal(here, 'heartbeat_interval: 5s here, 3s at gray/gray1');
  assert.equal(there, 'heartbeat_interval: 3s here, 5s at red/red1');
});

for (const session of [
  { id: 'c'.repeat(32), epoch: 1 },
  { id: 'a'.repeat(32), epoch: 2 },
]) {
  test(`a dialler does not take session ${session.id.slice(0, 4)} epoch ${session.epoch} for its own`, () => {
    const rig = new Rig('dialler');
    feedHello(rig, helloOf('acceptor', { session }));
    const closed = rig.closed();
    assert.equal(closed.code, 'protocol-error');
    assert.equal(closed.reason, 'the peer answered for another session');
  });
}

test('an acceptor may close instead of admitting; the dialler hears why', () => {
  const acceptor = new Rig('acceptor');
  acceptor.feed(helloFrame(sessionOptions('dialler')));
  acceptor.session.close(acceptor.nowMs, 'stale-epoch', 'there is a newer one');
  acceptor.session.admit(acceptor.nowMs);
  const frames = acceptor.sent();
  assert.deepEqual(
    frames.map((each) => each.type),
    [FrameType.CLOSE],
  );
  const dialler = new Rig('dialler');
  dialler.feed(frame((writer) => writer.close('stale-epoch', 'there is a newer one')));
  assert.deepEqual(dialler.events(), [
    { kind: 'closed', code: 'stale-epoch', reason: 'there is a newer one', remote: true },
  ]);
});

for (const role of ['dialler', 'acceptor'] as const) {
  test(`a ${role} gives up when no HELLO comes in time`, () => {
    const rig = new Rig(role);
    assert.equal(rig.session.pollTimeout(), rig.nowMs + 10_000);
    rig.pass(9_999);
    rig.session.handleTimeout(rig.nowMs);
    assert.equal(rig.session.closed, false);
    rig.pass(1);
    assert.equal(rig.closed().code, 'handshake-timeout');
    assert.equal(rig.sent().at(-1)!.type, FrameType.CLOSE);
    assert.equal(rig.session.pollTimeout(), undefined);
    rig.session.handleTimeout(rig.nowMs);
    assert.deepEqual(rig.kinds(), []);
  });
}

test('a payload that is no HELLO ends the lane with its code', () => {
  const rig = new Rig('acceptor');
  rig.feed(frame((writer) => writer.json(FrameType.HELLO, 0, 0, { versions: [1] })));
  const closed = rig.closed();
  assert.equal(closed.code, 'protocol-error');
  assert.match(closed.reason, /^frame-payload: HELLO session is not an object/);
});

test('the lane may go at any time', () => {
  const rig = new Rig('dialler');
  rig.session.handleLaneClosed(rig.nowMs, 'connection reset');
  assert.deepEqual(rig.events(), [
    { kind: 'closed', code: 'lane-lost', reason: 'connection reset', remote: false },
  ]);
  rig.session.handleLaneClosed(rig.nowMs, 'again');
  rig.session.close(rig.nowMs, 'shutdown', 'again');
  rig.feed(helloFrame(sessionOptions('acceptor')));
  assert.deepEqual(rig.kinds(), []);
});
