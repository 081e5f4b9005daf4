import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as nextRound } from 'node:timers/promises';
import type { DriverHandlers } from '../../../packages/link/src/driver/driver-types.ts';
import { LaneLink } from '../../../packages/link/src/driver/lanes/lane-link.ts';
import { PeerScheduler } from '../../../packages/link/src/driver/peer-scheduler.ts';
import { startSession } from '../../../packages/link/src/driver/session-driver.ts';
import {
  createPools,
  handshakeOptions,
  type SessionCommons,
  wallOffsetMs,
} from '../../../packages/link/src/driver/session-options.ts';
import { invariant } from '../../../packages/proto/src/base/errors.ts';
import type { Identity } from '../../../packages/proto/src/base/identity.ts';
import { PendingHandshake } from '../../../packages/proto/src/session/lanes/pending-handshake.ts';
import { StreamSender } from '../../../packages/proto/src/session/streams/stream-sender.ts';
import { FrameType } from '../../../packages/proto/src/wire/layout.ts';
import { parseConfig } from '../../../packages/routy/src/config/load.ts';
import { sharedSettings } from '../../../packages/routy/src/fabric/settings.ts';
import { FakeLane } from './fake-lane.ts';
import { concat, frame, openFrame, readFrames } from '../../support/session/frames.ts';

const RED: Identity = { fabric: 'f', site: 'red', node: 'red1' };
const GRAY: Identity = { fabric: 'f', site: 'gray', node: 'gray1' };
const { fabric, limits } = parseConfig(
  '[node]\nname = "red1"\nsite = "red"\nstate = "/nonexistent"\n[[peer]]\naddress = "gray:7443"\n',
);
const ID = 'ab'.repeat(16);

function commonsOf(self: Identity, digit: string): SessionCommons {
  const instance = digit.repeat(32);
  const settings = sharedSettings(fabric);
  const common = { self, instance, times: fabric, settings, limits, software: 'routy/test' };
  return { ...common, pools: createPools(limits) };
}

/** Notes the names of the handlers that are called, but for those that are given. */
function handlers(told: string[], given: Partial<DriverHandlers> = {}): DriverHandlers {
  return new Proxy(given as DriverHandlers, {
    get: (_given, name) => Reflect.get(given, name) ?? (() => told.push(String(name))),
  });
}

function linkOf(lane: FakeLane, turns = new PeerScheduler()): LaneLink {
  return new LaneLink(lane, turns.of(`${lane.peer.site}/${lane.peer.node}`), () => undefined);
}

/** The lane of a dialled session, and what the session tells. */
async function established(given: Partial<DriverHandlers> = {}, turns?: PeerScheduler) {
  const told: string[] = [];
  const red = commonsOf(RED, 'a');
  const gray = commonsOf(GRAY, 'b');
  const driver = startSession(
    { commons: red, role: 'dialler', peer: GRAY, sessionId: ID },
    handlers(told, given),
  );
  const lane = new FakeLane(GRAY, 'dialled');
  driver.dial(linkOf(lane, turns));
  await nextRound();
  const greeting = new PendingHandshake(
    handshakeOptions(gray, RED),
    performance.now(),
    wallOffsetMs(),
  );
  greeting.handleBytes(performance.now(), concat(lane.written));
  const far = startSession(
    { commons: gray, role: 'acceptor', peer: RED, sessionId: ID },
    handlers([]),
  );
  const farLane = new FakeLane(RED);
  far.attach(linkOf(farLane), greeting.hello!);
  await nextRound();
  lane.data(concat(farLane.written));
  await nextRound();
  assert.equal(driver.established, true);
  far.close('shutdown', 'the test is over');
  return { lane, told, driver };
}

test('a session that is closed says so before a further lane can join it', async () => {
  const { lane, told } = await established();
  // So many bytes in one chunk that what they bring is gathered for the end of the round.
  const chunk = frame((writer) => {
    for (let sequence = 1; sequence < 500; sequence += 1) writer.ping(sequence, 1);
    writer.close('shutdown', 'the node stops');
  });
  lane.data(chunk);
  assert.equal(told.at(-1), 'onClosed');
});

test('a session whose handler has thrown in a round still tells the peer that it ends', async () => {
  const onStream = () => {
    throw new Error('a defect');
  };
  const { lane, driver } = await established({ onStream });
  assert.throws(() => lane.data(openFrame(2, 0)), /a defect/);
  const before = lane.written.length;
  driver.close('shutdown', 'the process ends');
  const said = readFrames(lane.written.slice(before)).map(({ type }) => type);
  assert.ok(said.includes(FrameType.CLOSE), String(said));
});

test('a broken invariant ends its session in order, and no other', async (t) => {
  const broken = await established();
  const other = await established();
  const turn = t.mock.method(StreamSender.prototype, 'turn', () => invariant(false, 'two at once'));
  const answer = assert.rejects(broken.driver.ping(), /internal: invariant broken: two at once/);
  await nextRound();
  await nextRound();
  turn.mock.restore();
  await answer;
  assert.equal(broken.told.at(-1), 'onClosed');
  const said = readFrames(broken.lane.written).map(({ type }) => type);
  assert.equal(said.at(-1), FrameType.CLOSE);
  assert.equal(other.driver.established, true);
  assert.equal(other.told.includes('onClosed'), false);
  other.driver.close('shutdown', 'the test is over');
});

test('a flood of opens is dispatched in slices, and nothing more is read until all of it is', async () => {
  let opened = 0;
  const onStream = () => {
    opened++;
    const untilMs = performance.now() + 0.2;
    while (performance.now() < untilMs);
  };
  const turns = new PeerScheduler();
  turns.of('blue/blue1');
  const { lane, driver } = await established({ onStream }, turns);
  const opens = Array.from({ length: 300 }, (_, index) => openFrame(2 * index + 2, 0));
  lane.data(concat(opens));
  await nextRound();
  assert.ok(opened > 0 && opened < 100, `${opened} of 300 in one slice`);
  // Rounds are short while the peer waits for its next turn.
  const untilMs = performance.now() + 20_000;
  while (opened < 300) {
    assert.ok(performance.now() < untilMs, `${opened} of 300 after all`);
    assert.equal(lane.paused, true);
    await nextRound();
  }
  while (lane.paused) {
    assert.ok(performance.now() < untilMs, 'what was held goes on');
    await nextRound();
  }
  driver.close('shutdown', 'the test is over');
});
