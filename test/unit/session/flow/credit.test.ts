import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WINDOW_BYTES_MIN } from '../../../../packages/proto/src/session/flow/receive-window.ts';
import { FrameType } from '../../../../packages/proto/src/wire/layout.ts';
import type { Agreement } from '../../../../packages/proto/src/wire/payload.ts';
import { acceptFrame, dataFrame, frame, openFrame } from '../../../support/session/frames.ts';
import { Pair } from '../../../support/session/session-pair.ts';
import { established, open, REQUEST, type Rig } from '../../../support/session/session-rig.ts';

const KIB = 1024;

function creditFrame(stream: number, limit: number, delivered: number, flags = 0): Uint8Array {
  return frame((writer) => writer.credit(stream, limit, delivered, flags));
}

/** The peer's answer to stream 1, whatever it picks. */
function accept(picked: Agreement): Uint8Array {
  return frame((writer) => writer.json(FrameType.ACCEPT, 1, 50_000, picked));
}

/** DATA sent since the last call, as `[offset, length]`. */
function dataSent(rig: Rig): [number, number][] {
  return rig
    .sent()
    .filter((each) => each.type === FrameType.DATA)
    .map((each) => [each.offset, each.payload.length]);
}

test('before ACCEPT a stream sends what the peer announced in HELLO, then what ACCEPT grants', () => {
  const rig = established('dialler');
  const stream = open(rig);
  assert.equal(rig.session.write(rig.nowMs, stream, new Uint8Array(30_000)), false);
  assert.deepEqual(dataSent(rig), [[0, WINDOW_BYTES_MIN]]);
  rig.feed(acceptFrame(stream, 20_000));
  assert.deepEqual(dataSent(rig), [[WINDOW_BYTES_MIN, 20_000 - WINDOW_BYTES_MIN]]);
  rig.feed(creditFrame(stream, 50_000, 20_000));
  assert.deepEqual(dataSent(rig), [[20_000, 10_000]]);
  assert.deepEqual(
    rig.kinds().filter((kind) => kind === 'writable'),
    ['writable'],
    'told once, when there was room again',
  );
});

test('the acceptor of a stream sends nothing before it accepts, then what OPEN granted', () => {
  const rig = established('dialler');
  rig.feed(openFrame(2, 500));
  rig.session.write(rig.nowMs, 2, new Uint8Array(600));
  assert.deepEqual(rig.sentNames(), []);
  rig.session.accept(2);
  assert.deepEqual(rig.sentNames(), ['ACCEPT 2', 'DATA 2']);
});

test('the opener hears what was picked; said again it is the same, or breaks the protocol', () => {
  const offer = { ...REQUEST, versions: [1, 2], capabilities: ['ranges', 'checksums'] };
  const picked = { version: 2, capabilities: ['checksums'] };
  const rig = established('dialler');
  assert.ok(rig.session.open(rig.nowMs, offer).ok);
  rig.feed(accept(picked));
  const [event, ...more] = rig.events();
  assert.deepEqual(event, { kind: 'accepted', stream: 1, picked });
  assert.equal(more.length, 0);
  rig.feed(accept(picked));
  assert.deepEqual(rig.kinds(), []);
  rig.feed(accept({ ...picked, version: 1 }));
  assert.match(rig.closed().reason, /^stream-state: ACCEPT of stream 1: not what was picked/);
});

test('what was not offered cannot be picked: the session ends before it says so', () => {
  const rig = established('dialler');
  rig.feed(openFrame(2, 500));
  rig.session.accept(2, { version: 3, capabilities: [] });
  const { code, reason } = rig.closed();
  assert.deepEqual([code, reason.includes('was not offered')], ['internal', true]);
});

const VIOLATIONS: readonly { name: string; code: string; frames: (rig: Rig) => Uint8Array[] }[] = [
  {
    name: 'DATA beyond the credit of a stream that is not accepted',
    code: 'credit-exceeded',
    frames: () => [openFrame(2, 1), dataFrame(2, 0, new Uint8Array(WINDOW_BYTES_MIN + 1))],
  },
  {
    name: 'DATA above a gap and beyond the credit',
    code: 'credit-exceeded',
    frames: () => [openFrame(2, 1), dataFrame(2, WINDOW_BYTES_MIN, new Uint8Array(1))],
  },
  {
    name: 'CREDIT that acknowledges what was not sent',
    code: 'credit-exceeded',
    frames: () => [acceptFrame(1, 50_000), creditFrame(1, 50_000, 101)],
  },
  {
    name: 'ACCEPT with a version nobody offered',
    code: 'frame-payload',
    frames: () => [accept({ version: 2, capabilities: [] })],
  },
  {
    name: 'ACCEPT with a capability nobody offered',
    code: 'frame-payload',
    frames: () => [accept({ version: 1, capabilities: ['compressed'] })],
  },
];

for (const { name, code, frames } of VIOLATIONS) {
  test(`${name}: ${code}`, () => {
    const rig = established('dialler');
    const stream = open(rig);
    rig.session.write(rig.nowMs, stream, new Uint8Array(100));
    rig.sent();
    rig.feed(...frames(rig));
    const closed = rig.closed();
    assert.equal(closed.code, 'protocol-error');
    assert.ok(closed.reason.startsWith(`${code}: `), closed.reason);
  });
}

test('credit and acknowledgements that were overtaken by newer ones change nothing', () => {
  const rig = established('dialler');
  const stream = open(rig);
  rig.session.write(rig.nowMs, stream, new Uint8Array(60_000));
  rig.feed(acceptFrame(stream, 20_000), creditFrame(stream, 30_000, 0));
  rig.feed(acceptFrame(stream, 20_000), creditFrame(stream, 25_000, 0));
  assert.deepEqual(rig.kinds(), ['accepted'], 'once');
  assert.deepEqual(dataSent(rig), [[0, 30_000]]);
  rig.feed(creditFrame(stream, 40_000, 20_000), creditFrame(stream, 50_000, 10_000));
  assert.equal(rig.session.memory().replayBytes, 40_000);
  assert.deepEqual(dataSent(rig), [[30_000, 20_000]]);
});

test('an ACCEPT that grants less than HELLO did takes nothing back', () => {
  const rig = established('dialler');
  const stream = open(rig);
  rig.feed(acceptFrame(stream, 1));
  rig.session.write(rig.nowMs, stream, new Uint8Array(30_000));
  assert.deepEqual(dataSent(rig), [[0, WINDOW_BYTES_MIN]]);
});

test('DATA up to the last byte of the credit is taken', () => {
  const rig = established('dialler');
  rig.feed(openFrame(2, 1), dataFrame(2, 0, new Uint8Array(WINDOW_BYTES_MIN)));
  assert.deepEqual(rig.kinds(), ['opened', 'data']);
});

test('credit is given when half a window is delivered, an acknowledgement alone may wait', () => {
  const rig = established('dialler');
  rig.feed(openFrame(2, 1));
  rig.session.accept(2);
  const [accept] = rig.sent();
  const window = accept!.offset;
  rig.feed(dataFrame(2, 0, new Uint8Array(window)));
  rig.nowMs += 1_000;
  rig.session.delivered(rig.nowMs, 2, window / 2 - 1);
  assert.deepEqual(rig.sentNames(), []);
  rig.session.delivered(rig.nowMs, 2, 1);
  const [credit] = rig.sent();
  assert.equal(credit!.type, FrameType.CREDIT);
  assert.equal(credit!.offset, window / 2 + window);
  assert.equal(new DataView(credit!.payload.buffer).getBigUint64(0), BigInt(window / 2));
  rig.session.delivered(rig.nowMs, 2, 10);
  rig.session.delivered(rig.nowMs, 2, 10);
  assert.deepEqual(rig.sentNames(), []);
  rig.pass(50);
  assert.deepEqual(rig.sentNames(), ['CREDIT 2'], 'both in one');
  rig.pass(200);
  assert.deepEqual(rig.sentNames(), [], 'nothing is owed any more');
});

test('what was delivered before ACCEPT is acknowledged right after it', () => {
  const rig = established('dialler');
  rig.feed(openFrame(2, 1), dataFrame(2, 0, new Uint8Array(100)));
  rig.session.delivered(rig.nowMs, 2, 100);
  rig.pass(100);
  assert.deepEqual(rig.sentNames(), [], 'an answer comes first');
  rig.session.accept(2);
  assert.deepEqual(rig.sentNames(), ['ACCEPT 2', 'CREDIT 2']);
});

test('a window grows with the rate, up to its limit and half of the budget', () => {
  for (const streamWindow of [256 * KIB, 4 * KIB * KIB]) {
    const pair = new Pair({ streamWindow }, { streamWindow });
    const stream = open(pair.dialler);
    pair.exchange();
    pair.acceptor.session.accept(stream);
    pair.exchange();
    for (let i = 0; i < 2000; i++) {
      pair.pass(0.1);
      pair.dialler.session.write(pair.dialler.nowMs, stream, new Uint8Array(1024 * KIB));
      pair.exchange();
      deliverAll(pair);
    }
    assert.equal(pair.acceptor.options.pools.receive.used, streamWindow);
  }
});

test('a window does not grow for a sender that takes its time', () => {
  const pair = new Pair();
  const stream = open(pair.dialler);
  pair.exchange();
  pair.acceptor.session.accept(stream);
  const before = pair.acceptor.options.pools.receive.used;
  for (let i = 0; i < 50; i++) {
    pair.pass(100);
    pair.dialler.session.write(pair.dialler.nowMs, stream, new Uint8Array(40 * KIB));
    pair.exchange();
    deliverAll(pair);
  }
  assert.equal(pair.acceptor.options.pools.receive.used, before);
});

function deliverAll(pair: Pair): void {
  const events = pair.acceptorEvents.splice(0);
  for (const event of events) {
    if (event.kind !== 'data') continue;
    pair.acceptor.session.delivered(pair.acceptor.nowMs, event.stream, event.bytes.length);
  }
  pair.exchange();
}

test('nothing is opened before the session is established, or after it', () => {
  const rig = established('dialler');
  rig.session.close(rig.nowMs, 'shutdown', 'enough');
  const result = rig.session.open(rig.nowMs, REQUEST);
  assert.deepEqual(result, {
    ok: false,
    code: 'session-lost',
    reason: 'the session is not established',
  });
});
