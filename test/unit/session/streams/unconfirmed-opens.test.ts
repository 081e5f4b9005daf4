import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { StreamLane } from '../../../../packages/proto/src/session/streams/stream.ts';
import { UnconfirmedOpens } from '../../../../packages/proto/src/session/streams/unconfirmed-opens.ts';
import { acceptFrame, frame, resumeFrame, resumeStream } from '../../../support/session/frames.ts';
import { Pair } from '../../../support/session/session-pair.ts';
import { established, open, REQUEST, type Rig } from '../../../support/session/session-rig.ts';

/** Ids the peer takes above the first one it has not seen. */
const ABOVE_MAX = 65_536;

const on = (id: number, pinged: number) => ({ id, pinged }) as StreamLane;

function reasonAfter(stream: number): string {
  return `${ABOVE_MAX} streams were opened after stream ${stream}, which the peer may not have seen`;
}

/** Streams that are given up at once, until the session opens no more; how many there were. */
function openAll(rig: Rig, stream: number): number {
  for (let count = 0; ; count++) {
    const result = rig.session.open(rig.nowMs, REQUEST);
    if (!result.ok) {
      assert.deepEqual(result, { ok: false, code: 'overload', reason: reasonAfter(stream) });
      return count;
    }
    rig.session.reset(result.stream, 'cancelled', 'enough');
    if (count % 1_000 === 0) rig.session.pollTransmit(rig.lane, Number.MAX_SAFE_INTEGER);
  }
}

test('an OPEN is heard of with the PONG to a PING behind it on its lane', () => {
  const ids = new UnconfirmedOpens(2);
  ids.opened(2, on(1, 5));
  ids.opened(4, undefined);
  ids.ponged(1, 5);
  ids.ponged(2, 6);
  assert.equal(ids.size, 2);
  ids.ponged(1, 6);
  assert.equal(ids.size, 1);
  ids.opened(4, on(2, 6));
  ids.ponged(2, 7);
  assert.equal(ids.size, 0);
});

for (const first of [1, 2] as const) {
  test(`ids from ${first} on: the next one is refused from the limit above the lowest unheard on`, () => {
    const ids = new UnconfirmedOpens(first);
    assert.equal(ids.refusal(first), undefined);
    for (let id = first; id < first + 20; id += 2) ids.opened(id, undefined);
    const top = (lowest: number) => lowest + 2 * ABOVE_MAX;
    assert.equal(ids.refusal(top(first)), undefined);
    assert.equal(ids.refusal(top(first) + 2), reasonAfter(first));
    ids.heard(first + 2);
    assert.equal(ids.refusal(top(first) + 2), reasonAfter(first));
    ids.heard(first);
    assert.equal(ids.refusal(top(first) + 2), undefined);
    assert.equal(ids.refusal(top(first) + 6), reasonAfter(first + 4));
    ids.heardUpTo(first + 8);
    ids.heardUpTo(first + 6);
    assert.equal(ids.refusal(top(first) + 12), reasonAfter(first + 10));
    ids.clear();
    assert.equal(ids.refusal(top(first) + 12), undefined);
  });
}

test('whatever the peer says of a stream proves that it has heard of it', () => {
  const rig = established('dialler');
  assert.equal(openAll(rig, 1), ABOVE_MAX + 1);
  const facts: Uint8Array[] = [
    acceptFrame(1, 100),
    frame((writer) => writer.reset(3, 0, 'overload', 'no')),
    frame((writer) => writer.credit(5, 100, 0, 0)),
    resumeFrame((writer) => writer.opened(7, 0)),
    resumeFrame((writer) => {
      writer.opened(0, 0);
      writer.seen(9);
    }),
    resumeFrame((writer) => {
      writer.opened(0, 0);
      writer.stream(resumeStream(11, {}));
    }),
    resumeFrame((writer) => {
      writer.opened(0, 0);
      writer.ended(13, 'overload');
    }),
  ];
  let lowest = 1;
  for (const fact of facts) {
    rig.feed(fact);
    lowest += 2;
    assert.equal(openAll(rig, lowest), 1);
  }
  const ping = rig.session.ping(rig.nowMs);
  rig.feed(frame((writer) => writer.pong(ping, 0, 0, 0)));
  open(rig);
  assert.equal(rig.session.closed, false);
});

test('streams that wait and are given up while suspended never come to more than the peer takes', () => {
  const pair = new Pair();
  const { dialler, acceptor } = pair;
  pair.cut(1, 'dialler', 'acceptor');
  const patient = open(dialler);
  assert.equal(openAll(dialler, patient), ABOVE_MAX);
  pair.dial();
  assert.deepEqual([dialler.session.closed, acceptor.session.closed], [false, false]);
  assert.equal(pair.acceptorEvents.filter(({ kind }) => kind === 'opened').length, 1);
  pair.pass(200);
  open(dialler);
});

test('short streams over one lane, while OPEN waits on another, come to no more than the peer takes', () => {
  const quiet = { heartbeatIntervalMs: 600_000 };
  const pair = new Pair(quiet, quiet);
  const { dialler, acceptor } = pair;
  pair.dial();
  pair.hold(1, 'dialler');
  const waits = open(dialler);
  let opened = 0;
  for (; ; opened++) {
    const result = dialler.session.open(dialler.nowMs, REQUEST);
    if (!result.ok) break;
    if (opened % 512 === 0) pair.exchange();
    dialler.session.reset(result.stream, 'cancelled', 'enough');
  }
  pair.exchange();
  assert.equal(opened, ABOVE_MAX);
  assert.equal(openAll(dialler, waits), 0);
  pair.release(1);
  acceptor.session.accept(waits);
  pair.exchange();
  open(dialler);
  assert.deepEqual([dialler.session.closed, acceptor.session.closed], [false, false]);
});
