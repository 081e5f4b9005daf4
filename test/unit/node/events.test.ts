import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LaneEnd } from '../../../packages/link/src/driver/driver-types.ts';
import type { Lane } from '../../../packages/link/src/transport/lane.ts';
import { YOUNG_DEATHS_MAX, YOUNG_MS } from '../../../packages/routy/src/events/flaps.ts';
import { NodeEvents } from '../../../packages/routy/src/events/node-events.ts';
import { createLog } from '../../../packages/routy/src/observe/log.ts';
import { createMetrics } from '../../../packages/routy/src/observe/metrics.ts';
import type { LiveSession } from '../../../packages/routy/src/sessions/live-sessions.ts';

interface Line {
  readonly event: string;
  readonly msg: string;
  readonly repeated?: number;
}

function logged(use: (events: NodeEvents) => void, nowMs?: () => number): Line[] {
  const lines: string[] = [];
  const log = createLog({ level: 'info', format: 'json', stream: { write: (s) => lines.push(s) } });
  use(new NodeEvents(log, createMetrics(), nowMs));
  log.close();
  return lines.map((line) => JSON.parse(line) as Line);
}

test('strangers who send another number of bytes each time are counted together', () => {
  const lines = logged((events) => {
    for (let bytes = 5; bytes <= 100; bytes++) {
      const remoteAddress = `192.0.2.7:${40_000 + bytes}`;
      events.laneRefused({ remoteAddress, code: 'closed', reason: 'hung up', bytes });
    }
  });
  assert.deepEqual(
    lines.map(({ msg, repeated }) => [msg, repeated]),
    [
      ['lane from 192.0.2.7 refused: hung up (5 bytes came)', undefined],
      ['lane from 192.0.2.7 refused: hung up (100 bytes came) (95 more since the last line)', 95],
    ],
  );
});

test('a node whose lanes break before HELLO is counted, from whatever port it dials', () => {
  const lines = logged((events) => {
    for (let port = 40_000; port < 40_010; port++) {
      for (const host of ['192.0.2.7', '[2001:db8::7]']) {
        const remoteAddress = `${host}:${port}`;
        const reason = `lane to ${remoteAddress} was reset by the peer (lane-lost)`;
        events.laneRefused({ peer: 'red/red1', remoteAddress, code: 'lane-lost', reason });
      }
    }
  });
  assert.equal(
    lines[0]!.msg,
    'lane from red/red1 refused: lane to 192.0.2.7 was reset by the peer (lane-lost)',
  );
  assert.deepEqual(
    lines.map(({ repeated }) => repeated),
    [undefined, 19],
  );
});

test('strangers are counted together, whatever they say and wherever they come from', () => {
  const lines = logged((events) => {
    for (let i = 0; i < 50; i++) {
      const remoteAddress = i % 2 === 0 ? `192.0.2.${i}:4711` : `[2001:db8::${i}]:4711`;
      const reason = `certificate of routy://f/red/red${i} is signed by itself`;
      const code = 'peer-not-verified';
      events.laneRefused({ remoteAddress, code, cause: 'self-signed', reason });
      events.laneRefused({ remoteAddress, code, cause: 'expired', reason: `expired on ${i}` });
      events.enrolment({
        ...{ kind: 'refused', remote: remoteAddress, by: 'us' },
        ...{ code: 'enrol-message-too-long', reason: `a message of ${i} bytes was announced` },
      });
      const words = { code: `their-${i}`, reason: `their words ${i}` };
      events.enrolment({ kind: 'refused', remote: remoteAddress, by: 'peer', ...words });
    }
  });
  assert.deepEqual(
    lines.map(({ repeated }) => repeated),
    [undefined, undefined, undefined, undefined, 49, 49, 49, 49],
  );
});

test('streams that cannot go on are counted together', () => {
  const lines = logged((events) => {
    for (let stream = 1; stream <= 9; stream += 2)
      events.streamMismatch('red/red1', stream, `received ${stream}, sent 0`);
  });
  assert.deepEqual(
    lines.map(({ repeated }) => repeated),
    [undefined, 4],
  );
});

/** Lanes one after the other, each living for `lifeMs` and losing the session its last one. */
function livesOfLanes(count: number, lifeMs: number): Line[] {
  let now = 0;
  const stats = () => ({ streams: 1, bytesReplayed: now });
  const session = { name: 'red/red1', driver: { stats } } as unknown as LiveSession;
  return logged(
    (events) => {
      for (let laneId = 1; laneId <= count; laneId++) {
        const remoteAddress = `192.0.2.7:${40_000 + laneId}`;
        events.laneUp(session, laneId, { direction: 'accepted', remoteAddress } as Lane);
        if (laneId > 1) events.sessionResumed(session, laneId, 0);
        now += lifeMs;
        const reason = `lane to ${remoteAddress} was reset by the peer`;
        const end = { laneId, code: 'lane-lost', reason, remote: false, lanesLeft: 0 };
        events.laneDown(session, { ...end, wasUp: true, withSession: false } as LaneEnd);
        session.trouble = { reason, hint: undefined };
        events.sessionSuspended(session);
      }
    },
    () => now,
  );
}

test('lanes that keep dying young are counted after the first ones', () => {
  const lines = livesOfLanes(100, 30);
  const lost = lines.filter(({ event }) => event === 'lane-lost');
  assert.equal(lost.length, YOUNG_DEATHS_MAX + 2);
  const left = 100 - YOUNG_DEATHS_MAX - 1;
  assert.equal(lost.at(-1)!.repeated, left);
  assert.equal(
    lost.at(-1)!.msg,
    `lane 100 with red/red1 is down: lane to 192.0.2.7:40100 was reset by the peer (lane-lost); its lanes keep failing (${left} more since the last line)`,
  );
  for (const event of ['lane-up', 'session-suspended', 'session-resumed']) {
    const same = lines.filter((line) => line.event === event);
    assert.ok(same.length <= YOUNG_DEATHS_MAX + 3, `${same.length} of ${event}`);
    const repeated = same.reduce((sum, line) => sum + (line.repeated ?? 1), 0);
    assert.equal(repeated, event === 'session-resumed' ? 99 : 100, event);
  }
});

test('lanes that live for a while have a line each', () => {
  const lines = livesOfLanes(9, YOUNG_MS);
  assert.equal(lines.filter(({ event }) => event === 'lane-lost').length, 9);
  assert.ok(lines.every(({ repeated }) => repeated === undefined));
});

test('nothing comes behind the last line of a node', () => {
  const lines = logged((events) => {
    for (let port = 40_000; port < 40_010; port++) {
      const remoteAddress = `192.0.2.7:${port}`;
      events.laneRefused({ remoteAddress, code: 'closed', reason: 'hung up', bytes: 0 });
    }
    events.stopped(0);
  });
  assert.equal(lines.at(-1)?.event, 'node-down');
  assert.equal(lines.at(-2)?.repeated, 9);
});
