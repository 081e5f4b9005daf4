import assert from 'node:assert/strict';
import { performance } from 'node:perf_hooks';
import { test } from 'node:test';
import { setImmediate as nextRound } from 'node:timers/promises';
import { LaneLink, type LaneReceiver } from '../../../packages/link/src/driver/lanes/lane-link.ts';
import { PeerScheduler } from '../../../packages/link/src/driver/peer-scheduler.ts';
import { RoutyError } from '../../../packages/proto/src/base/errors.ts';
import { FakeLane } from './fake-lane.ts';

const peer = { fabric: 'f', site: 'red', node: 'red1' };

/** Notes what it is told. */
function receiver(): LaneReceiver & { readonly heard: string[] } {
  const heard: string[] = [];
  return {
    heard,
    laneData: (_link, chunk, isLent) => {
      heard.push(`${Buffer.from(chunk)}${isLent ? ', lent' : ''}`);
    },
    laneResumed: () => {},
    laneDrained: () => heard.push('drained'),
    laneClosed: (link) => heard.push(`closed: ${link.endReason}`),
  };
}

function linked() {
  const lane = new FakeLane(peer);
  const gone: LaneLink[] = [];
  const turns = new PeerScheduler();
  const link = new LaneLink(lane, turns.of('red/red1'), (each) => gone.push(each));
  return { lane, link, gone, turns };
}

test('what a lane brings goes to whoever has it at the moment', () => {
  const { lane, link, gone } = linked();
  const [first, second] = [receiver(), receiver()];
  link.receiver = first;
  lane.data(Buffer.from('one'));
  link.receiver = second;
  link.full = true;
  lane.drain();
  assert.equal(link.full, false);
  lane.data(Buffer.from('two'));
  lane.close(new RoutyError('lane-reset', 'reset'));
  assert.deepEqual(first.heard, ['one']);
  assert.deepEqual(second.heard, ['drained', 'two', 'closed: reset']);
  assert.deepEqual(gone, [link]);
  assert.equal(link.gone, true);
  assert.equal(link.error?.code, 'lane-reset');
});

test('a lane that is ended here sends its last frames and tells nobody any more', () => {
  const { lane, link, gone } = linked();
  const told = receiver();
  link.receiver = told;
  link.full = true;
  link.end([Buffer.from('last')]);
  assert.equal(String(lane.written[0]), 'last');
  assert.equal(lane.ended, 'end');
  lane.data(Buffer.from('late'));
  lane.close();
  assert.deepEqual(told.heard, []);
  assert.deepEqual(gone, [link]);
});

test('a lane that is closed already is not ended again', () => {
  const { lane, link } = linked();
  lane.close();
  link.end([Buffer.from('last')]);
  link.abort();
  assert.deepEqual(lane.written, []);
  assert.equal(lane.ended, undefined);
  assert.equal(link.endReason, 'the peer ended the lane');
});

test('an aborted lane is destroyed at once', () => {
  const { lane, link } = linked();
  link.abort();
  assert.equal(lane.ended, 'destroy');
});

test('a lane whose bytes make long work waits until others have had their turn', async () => {
  const { lane, link, turns } = linked();
  const work = (ms: number) => () => {
    const untilMs = performance.now() + ms;
    while (performance.now() < untilMs);
  };
  link.receiver = { ...receiver(), laneData: work(5) };
  lane.data(Buffer.from('one'));
  assert.equal(lane.paused, false, 'there are no others');
  turns.of('blue/blue1');
  lane.data(Buffer.from('two'));
  assert.equal(lane.paused, true);
  await nextRound();
  assert.equal(lane.paused, false);
  // Work for it that its bytes have brought, and that is done later.
  const sinceMs = performance.now();
  work(5)();
  link.spent(sinceMs);
  assert.equal(lane.paused, true);
});

test('bytes that take long are passed on in parts, and those of a held lane later', async () => {
  const lane = new FakeLane(peer);
  let nowMs = 0;
  const turns = new PeerScheduler({ nowMs: () => nowMs, idleMs: () => 0 });
  const link = new LaneLink(lane, turns.of('red/red1'), () => {});
  turns.of('blue/blue1');
  const parts: number[] = [];
  link.receiver = {
    ...receiver(),
    laneData: (_link, part) => {
      parts.push(part.length);
      nowMs += part.length / 8192;
    },
  };
  lane.data(new Uint8Array(64 * 1024));
  assert.deepEqual(parts.splice(0), [64 * 1024], 'nothing is known of them yet');
  await nextRound();
  assert.equal(lane.paused, false);
  lane.data(new Uint8Array(40 * 1024));
  assert.deepEqual(parts.splice(0), [8192, 8192], 'the slice is over');
  assert.equal(lane.paused, true);
  await nextRound();
  assert.deepEqual(parts.splice(0), [8192, 8192]);
  link.hold();
  await nextRound();
  assert.deepEqual(parts, []);
  link.release();
  assert.deepEqual(parts, [], 'not from inside of the work that it was held for');
  await nextRound();
  assert.deepEqual(parts.splice(0), [8192]);
  assert.equal(lane.paused, false);
});

test('what a lane brought before its end is passed on before that is told', () => {
  const { lane, link } = linked();
  const told = receiver();
  link.receiver = told;
  link.hold();
  lane.data(Buffer.from('last'));
  lane.close();
  assert.deepEqual(told.heard, ['last', 'closed: the peer ended the lane']);
});

test('a held lane that is ended here is read on, so that the peer’s end is seen', async () => {
  const { lane, link } = linked();
  link.receiver = receiver();
  link.hold();
  link.end([]);
  await nextRound();
  assert.equal(lane.paused, false);
});

test('what is lent is passed on as such at once, and copied where it has to wait', async () => {
  const lane = new FakeLane(peer);
  let nowMs = 0;
  const turns = new PeerScheduler({ nowMs: () => nowMs, idleMs: () => 0 });
  const link = new LaneLink(lane, turns.of('red/red1'), () => {});
  turns.of('blue/blue1');
  const told: string[] = [];
  link.receiver = {
    ...receiver(),
    laneData: (_link, chunk, isLent) => {
      told.push(`${Buffer.from(chunk).subarray(0, 5)} ${isLent ? 'lent' : 'kept'}`);
      nowMs += chunk.length / 8192;
    },
  };
  lane.lend(Buffer.alloc(64 * 1024, 'first '));
  await nextRound();
  lane.lend(Buffer.alloc(3 * 8192, 'next'));
  // The slice is over; the memory of the rest is the lane's again.
  assert.deepEqual(told, ['first lent', 'nextn kept', 'nextn kept']);
  await nextRound();
  assert.deepEqual(told.slice(3), ['nextn kept']);
});
