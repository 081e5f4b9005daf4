import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Troubles } from '../../../packages/routy/src/events/troubles.ts';
import { type PeerClock, Vitals } from '../../../packages/routy/src/node/vitals.ts';
import { createLog } from '../../../packages/routy/src/observe/log.ts';

function rig() {
  const lines: Record<string, unknown>[] = [];
  const log = createLog({
    level: 'info',
    format: 'json',
    stream: { write: (line: string) => lines.push(JSON.parse(line)) },
  });
  const troubles = new Troubles(log);
  let clocks: PeerClock[] = [];
  const vitals = new Vitals(log, troubles, () => clocks);
  let nowMs = 0;
  return {
    troubles,
    events: () => lines.map(({ event }) => event),
    lines,
    look: (afterMs = 1_000) => {
      nowMs += afterMs;
      vitals.look(nowMs);
    },
    clock: (...next: PeerClock[]) => {
      clocks = next;
    },
    close: () => log.close(),
  };
}

test('an event loop that is late again and again is told once, and when it is over', () => {
  const { look, events, troubles, close } = rig();
  look();
  look(1_400);
  look();
  look(1_400);
  assert.deepEqual(events(), [], 'two slow moments are none of it');
  look(1_300);
  look(1_300);
  assert.deepEqual(events(), ['trouble']);
  assert.deepEqual(
    troubles.status().map(({ what }) => what),
    ['event loop'],
  );
  for (let second = 0; second < 58; second++) look();
  assert.equal(troubles.status().length, 1);
  for (let second = 0; second < 5; second++) look();
  assert.deepEqual(events(), ['trouble', 'trouble-over']);
  assert.deepEqual(troubles.status(), []);
  close();
});

test("a peer's clock that is wrong is told once, also at the limit, and when it is right", () => {
  const { look, clock, events, lines, close } = rig();
  clock({ peer: 'gray/gray1', offsetMs: undefined });
  look();
  clock({ peer: 'gray/gray1', offsetMs: -1_999 });
  look();
  assert.deepEqual(events(), []);
  for (const offsetMs of [-2_001, -1_999, -2_001]) {
    clock({ peer: 'gray/gray1', offsetMs }, { peer: 'blue/blue1', offsetMs: 0 });
    look();
  }
  assert.deepEqual(events(), ['clocks-differ']);
  assert.equal(lines[0]!.msg, 'the clock of gray/gray1 is 2.0 s behind that of this node');
  clock({ peer: 'gray/gray1', offsetMs: 5 });
  look();
  assert.deepEqual(events(), ['clocks-differ', 'clocks-agree']);
  close();
});
