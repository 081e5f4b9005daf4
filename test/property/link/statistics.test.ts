import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  type Meter,
  type MeterKind,
  Statistics,
  type StatisticsSnapshot,
} from '../../../packages/link/src/stats/index.ts';

const KINDS: readonly MeterKind[] = ['stream', 'conversation', 'session'];
const CLASSES_MAX = 3;

const step = fc.oneof(
  fc.record({ do: fc.constant('begin' as const), kind: fc.nat(2), class: fc.nat(9) }),
  fc.record({ do: fc.constant('end' as const), which: fc.nat(50) }),
  fc.record({
    do: fc.constantFrom('sent', 'received', 'retried', 'dropped'),
    which: fc.nat(50),
    by: fc.nat(1e6),
  }),
);

test('in any order of begin, count and end no sum falls, and sums are what was counted', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const statistics = new Statistics({ heartbeatIntervalMs: 100, classesMax: CLASSES_MAX });
      const meters: Meter[] = [];
      const counted = { sent: 0, received: 0, retried: 0, dropped: 0 };
      let before = new Map<string, readonly number[]>();
      steps.forEach((each, index) => {
        const nowMs = index * 37;
        if (each.do === 'begin') {
          meters.push(statistics.begin(nowMs, KINDS[each.kind]!, `class${each.class}`, 'x'));
        } else if (meters.length > 0) {
          const meter = meters[each.which % meters.length]!;
          if (each.do === 'end') meter.end();
          else {
            meter[each.do](each.by);
            counted[each.do] += each.by;
          }
        }
        const snapshot = statistics.snapshot(nowMs);
        before = assertNoneFell(before, snapshot);
        assertSums(snapshot, counted);
      });
    }),
  );
});

function assertNoneFell(
  before: ReadonlyMap<string, readonly number[]>,
  { classes }: StatisticsSnapshot,
): Map<string, readonly number[]> {
  const after = new Map(
    classes.map((sum) => [`${sum.kind}/${sum.class}`, [sum.begun, ...Object.values(sum.counters)]]),
  );
  for (const [key, values] of before) {
    for (const [index, value] of values.entries()) assert.ok(after.get(key)![index]! >= value, key);
  }
  return after;
}

function assertSums(
  { classes, meters }: StatisticsSnapshot,
  counted: Readonly<Record<'sent' | 'received' | 'retried' | 'dropped', number>>,
): void {
  const total = (pick: (sum: (typeof classes)[number]) => number) =>
    classes.reduce((sum, each) => sum + pick(each), 0);
  assert.equal(
    total((sum) => sum.counters.bytesSent),
    counted.sent,
  );
  assert.equal(
    total((sum) => sum.counters.bytesReceived),
    counted.received,
  );
  assert.equal(
    total((sum) => sum.counters.retries),
    counted.retried,
  );
  assert.equal(
    total((sum) => sum.counters.drops),
    counted.dropped,
  );
  assert.equal(
    total((sum) => sum.live),
    meters.length,
  );
  assert.ok(new Set(classes.map((sum) => sum.class)).size <= CLASSES_MAX + 1);
}
