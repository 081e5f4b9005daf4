import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WINDOW_BYTES_MIN } from '../../../../packages/proto/src/session/flow/receive-window.ts';
import { PendingHandshake } from '../../../../packages/proto/src/session/lanes/pending-handshake.ts';
import { FrameType } from '../../../../packages/proto/src/wire/layout.ts';
import { type Hello, parseClose, parseHello } from '../../../../packages/proto/src/wire/payload.ts';
import {
  concat,
  dataFrame,
  frame,
  helloFrame,
  helloOf,
  openFrame,
  type ReadFrame,
  readFrames,
  sessionOptions,
} from '../../../support/session/frames.ts';
import { REFUSALS } from './refusals.ts';
import { WALL_OFFSET_MS } from '../../../support/session/session-rig.ts';

const NOW_MS = 1_000;

function greet(...frames: Uint8Array[]): PendingHandshake {
  const greeting = new PendingHandshake(sessionOptions('acceptor'), NOW_MS, WALL_OFFSET_MS);
  if (frames.length > 0) greeting.handleBytes(NOW_MS, concat(frames));
  return greeting;
}

function sentBy(greeting: PendingHandshake): ReadFrame[] {
  return readFrames(greeting.pollTransmit() ?? []);
}

function dialling(changes: Partial<Hello> = {}): Uint8Array {
  const hello = { ...helloOf(sessionOptions('dialler')), ...changes };
  return frame((writer) => writer.json(FrameType.HELLO, 0, 0, hello));
}

test('a good HELLO is handed over, and nothing said about it', () => {
  const session = { id: 'b'.repeat(32), epoch: 7, proof: 'c'.repeat(64) };
  const greeting = greet(helloFrame(sessionOptions('dialler'), session));
  assert.deepEqual(greeting.hello?.session, session);
  assert.equal(greeting.hello.initialWindow, WINDOW_BYTES_MIN);
  assert.equal(greeting.early, false);
  assert.equal(greeting.closed, undefined);
  assert.equal(greeting.pollTransmit(), undefined);
});

test('HELLO may come in pieces', () => {
  const greeting = greet();
  for (const byte of dialling()) {
    assert.equal(greeting.hello, undefined);
    greeting.handleBytes(NOW_MS, Uint8Array.of(byte));
  }
  assert.ok(greeting.hello);
});

for (const { name, changes, code, reason } of REFUSALS) {
  test(`${name}: refused, and why is said`, () => {
    const greeting = greet(dialling(changes));
    assert.equal(greeting.hello, undefined);
    assert.deepEqual([greeting.closed?.code, greeting.closed?.remote], [code, false]);
    assert.match(greeting.closed!.reason, reason);
    const frames = sentBy(greeting);
    const close = frames.pop()!;
    assert.deepEqual(parseClose(close.payload), { code, reason: greeting.closed!.reason });
    assert.equal(frames.length, code === 'settings-mismatch' ? 1 : 0);
  });
}

test('a dialler with other settings gets this side’s HELLO, to compare, without a secret', () => {
  const [hello] = sentBy(greet(dialling({ settings: {} })));
  const said = parseHello(hello!.payload);
  assert.deepEqual(said.session, { id: 'a'.repeat(32), epoch: 1 });
  assert.equal(said.clockUs, (NOW_MS + WALL_OFFSET_MS) * 1000);
});

test('a HELLO of another version is named so with both lists, whatever else it says', () => {
  const hello = { versions: [2], id: { of: 'another shape' }, fabric: 7 };
  const greeting = greet(frame((writer) => writer.json(FrameType.HELLO, 0, 0, hello)));
  const reason = 'session protocol: version 1 here, version 2 at the peer';
  assert.deepEqual(greeting.closed, { code: 'version-mismatch', reason, remote: false });
  const [close, ...more] = sentBy(greeting);
  assert.equal(more.length, 0);
  assert.deepEqual(parseClose(close!.payload), { code: 'version-mismatch', reason });
});

const EARLY: readonly { name: string; bytes: Uint8Array }[] = [
  { name: 'a frame', bytes: frame((writer) => writer.ping(1, 1)) },
  { name: 'DATA', bytes: dataFrame(1, 0, new Uint8Array(3)) },
  { name: 'another HELLO', bytes: dialling() },
  { name: 'the beginning of a frame', bytes: openFrame(1, 100).subarray(0, 10) },
];

for (const { name, bytes } of EARLY) {
  test(`${name} behind HELLO is too early, in the same chunk or later`, () => {
    assert.ok(greet(dialling(), bytes).early);
    const greeting = greet(dialling());
    greeting.handleBytes(NOW_MS, bytes);
    assert.ok(greeting.early);
    assert.ok(greeting.hello, 'whose lane it is decides who hears of it');
  });
}

const VIOLATIONS: readonly {
  name: string;
  bytes: Uint8Array;
  reason: RegExp;
  code?: string;
}[] = [
  {
    name: 'a frame before HELLO',
    bytes: frame((writer) => writer.ping(1, 1)),
    reason: /^frame-order: PING before HELLO$/,
  },
  {
    name: 'DATA before HELLO',
    bytes: dataFrame(1, 0, new Uint8Array(3)),
    reason: /^frame-order: DATA before HELLO$/,
  },
  {
    name: 'a payload that is no HELLO',
    bytes: frame((writer) => writer.json(FrameType.HELLO, 0, 0, { versions: [1] })),
    reason: /^frame-payload: HELLO capabilities is not a list/,
  },
  {
    name: 'no frame at all',
    bytes: new TextEncoder().encode('GET / HTTP/1.1\r\nHost: gray\r\n\r\n'),
    code: 'version-mismatch',
    reason: /^frame-type: /,
  },
  {
    name: 'no frame behind HELLO',
    bytes: concat([dialling(), new Uint8Array(24).fill(255)]),
    code: 'version-mismatch',
    reason: /^frame-type: /,
  },
];

for (const { name, bytes, reason, code } of VIOLATIONS) {
  test(`${name} ends the lane`, () => {
    const greeting = greet(bytes);
    assert.equal(greeting.hello, undefined);
    assert.ok(greeting.closed);
    assert.equal(greeting.closed.code as string, code ?? 'protocol-error');
    assert.match(greeting.closed.reason, reason);
    const frames = sentBy(greeting);
    assert.deepEqual(
      frames.map((each) => each.type),
      [FrameType.CLOSE],
    );
    greeting.handleBytes(NOW_MS, dialling());
    assert.equal(greeting.hello, undefined, 'what comes after is not looked at');
  });
}

test('a dialler may take it back', () => {
  const bye = frame((writer) => writer.close('shutdown', 'bye'));
  for (const frames of [[bye], [dialling(), bye], [dialling(), bye, dialling()]]) {
    const greeting = greet(...frames);
    assert.equal(greeting.hello, undefined);
    assert.deepEqual(greeting.closed, { code: 'shutdown', reason: 'bye', remote: true });
    assert.equal(greeting.pollTransmit(), undefined);
  }
});

test('HELLO is waited for until the deadline, not longer', () => {
  const greeting = greet();
  assert.equal(greeting.deadlineMs, NOW_MS + 10_000);
  greeting.handleTimeout(greeting.deadlineMs - 1);
  assert.equal(greeting.closed, undefined);
  greeting.handleTimeout(greeting.deadlineMs);
  const ending = {
    code: 'handshake-timeout',
    reason: 'no HELLO from the peer in time',
    remote: false,
  };
  assert.deepEqual(greeting.closed, ending);
  assert.equal(sentBy(greeting).length, 1);
  greeting.handleTimeout(greeting.deadlineMs + 1);
  assert.deepEqual(sentBy(greeting), []);
});

test('whoever knows the sessions may refuse a good HELLO, once', () => {
  const greeting = greet(dialling());
  greeting.refuse(NOW_MS, 'unknown-session', 'it is gone');
  greeting.refuse(NOW_MS, 'shutdown', 'again');
  assert.equal(greeting.hello, undefined);
  assert.deepEqual(greeting.closed, {
    code: 'unknown-session',
    reason: 'it is gone',
    remote: false,
  });
  const [close, ...more] = sentBy(greeting);
  assert.deepEqual(parseClose(close!.payload), { code: 'unknown-session', reason: 'it is gone' });
  assert.equal(more.length, 0);
});
