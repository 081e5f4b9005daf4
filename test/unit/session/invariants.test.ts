import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InvariantError, invariant, RoutyError } from '../../../packages/proto/src/base/errors.ts';
import { Budget } from '../../../packages/proto/src/session/flow/budget.ts';
import { BytesInFlight } from '../../../packages/proto/src/session/flow/bytes-in-flight.ts';
import { ReceiveWindow } from '../../../packages/proto/src/session/flow/receive-window.ts';
import { SendBuffer } from '../../../packages/proto/src/session/flow/send-buffer.ts';
import { FrameType } from '../../../packages/proto/src/wire/layout.ts';
import { parseClose } from '../../../packages/proto/src/wire/payload.ts';
import { acceptFrame, dataFrame, openFrame } from '../../support/session/frames.ts';
import { established, open, type Rig } from '../../support/session/session-rig.ts';

const BYTES = new Uint8Array(1000);

test('a broken invariant says what and with which values', () => {
  invariant(true, 'all is well', 1);
  assert.throws(
    () => invariant(false, 'one is not two', 1, 2),
    (error) => {
      assert.ok(error instanceof InvariantError && error instanceof RoutyError);
      assert.equal(error.code, 'internal');
      assert.equal(error.message, 'invariant broken: one is not two (1, 2)');
      return true;
    },
  );
});

test('no offset outside of what there is', () => {
  const buffer = new SendBuffer();
  buffer.push(BYTES);
  assert.throws(() => buffer.take(1001, []), InvariantError);
  assert.throws(() => buffer.take(-1, []), InvariantError);
  buffer.take(600, []);
  assert.throws(() => buffer.ack(601), InvariantError);
  assert.throws(() => buffer.rewind(601), InvariantError);
  buffer.ack(400);
  assert.throws(() => buffer.ack(399), InvariantError);
  assert.throws(() => buffer.rewind(399), InvariantError);
  assert.deepEqual([buffer.acked, buffer.sent, buffer.written], [400, 600, 1000]);
});

test('no byte beyond what was granted, none delivered that has not come', () => {
  const window = new ReceiveWindow(1000, 1000, new Budget(1000), 0);
  window.receive(1000);
  assert.throws(() => window.receive(1), InvariantError);
  assert.throws(() => window.deliver(0, 1002, undefined), InvariantError);
});

test('nothing is given back twice', () => {
  const parent = new Budget(100);
  const budget = new Budget(100, parent);
  budget.take(60);
  assert.throws(() => budget.release(61), InvariantError);
  assert.throws(() => budget.take(-1), InvariantError);
  const flight = new BytesInFlight<string>();
  flight.sent('a lane', 10, 10);
  flight.acknowledged(10);
  assert.equal(flight.on('a lane'), 0);
});

test('a budget that is closed has given back everything', () => {
  const parent = new Budget(100);
  const budget = new Budget(100, parent);
  budget.take(60);
  budget.close();
  budget.release(60);
  assert.deepEqual([budget.used, parent.used], [0, 0]);
});

/** An open stream of the peer's, on which it has sent 100 bytes. */
function received(rig: Rig): number {
  rig.feed(openFrame(2, 10_000), dataFrame(2, 0, BYTES.subarray(0, 100)));
  rig.session.accept(2);
  rig.sent();
  rig.events();
  return 2;
}

/** The session has ended for it: told here, said to the peer, and nothing is held any more. */
function endedInOrder(rig: Rig, reason: RegExp, streams: number): void {
  const events = rig.events();
  const closed = events.at(-1);
  assert.ok(closed?.kind === 'closed', JSON.stringify(closed));
  assert.equal(closed.code, 'internal');
  assert.match(closed.reason, reason);
  const resets = events.filter(({ kind }) => kind === 'reset');
  assert.equal(resets.length, streams);
  assert.equal(rig.session.closed, true);
  assert.equal(rig.options.pools.send.used + rig.options.pools.receive.used, 0);
  assert.equal(rig.session.pollTransmit(rig.lane, 1_000_000), undefined);
}

test('an owner that delivers more than has come loses the session, and nobody else anything', () => {
  const rig = established('dialler', {
    pools: { send: new Budget(1_000_000), receive: new Budget(1_000_000) },
  });
  const stream = received(rig);
  open(rig);
  rig.session.delivered(rig.nowMs, stream, 101);
  endedInOrder(rig, /more was delivered than has come \(101, 100\)/, 2);
  // What the owner does with it afterwards comes to nothing.
  rig.session.delivered(rig.nowMs, stream, 1);
  rig.session.end(stream);
  assert.deepEqual(rig.events(), []);
});

test('of a frame whose bytes are not right no part is sent, and CLOSE says why', (t) => {
  const rig = established('dialler');
  const stream = open(rig);
  rig.feed(acceptFrame(stream, 1_000_000));
  rig.sent();
  rig.events();
  rig.session.write(rig.nowMs, stream, new Uint8Array(10_000));
  t.mock.method(SendBuffer.prototype, 'take', () => invariant(false, 'a wrong offset'));
  assert.equal(rig.session.pollTransmit(rig.lane, 1_000_000), undefined);
  const { code, last } = rig.laneClosed();
  assert.equal(code, 'internal');
  assert.deepEqual(
    last.map(({ type }) => type),
    [FrameType.CLOSE],
  );
  assert.deepEqual(parseClose(last[0]!.payload), {
    code: 'internal',
    reason: 'invariant broken: a wrong offset',
  });
});

test('what the peer sends past a check that fails ends the session, not the process', (t) => {
  const rig = established('dialler');
  received(rig);
  t.mock.method(ReceiveWindow.prototype, 'expect', () => undefined);
  rig.feed(dataFrame(2, 100, new Uint8Array(200_000)));
  endedInOrder(rig, /more was taken than was granted/, 1);
});

test('any other error is for whoever called', (t) => {
  const rig = established('dialler');
  const stream = received(rig);
  t.mock.method(ReceiveWindow.prototype, 'deliver', () => {
    throw new TypeError('a defect of another kind');
  });
  assert.throws(() => rig.session.delivered(rig.nowMs, stream, 1), TypeError);
  assert.equal(rig.session.closed, false);
});
