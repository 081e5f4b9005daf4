import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { SessionRegistry } from '../../src/fabric/registry.ts';

const request = fc.record({
  peer: fc.constantFrom('red/red1', 'gray/gray1'),
  instance: fc.constantFrom('i1', 'i2', 'i3'),
  sessionId: fc.constantFrom('s1', 's2', 's3', 's4'),
  epoch: fc.integer({ min: 0, max: 5 }),
});
const step = fc.oneof(
  { weight: 4, arbitrary: request },
  { weight: 1, arbitrary: fc.constantFrom('s1', 's2', 's3', 's4') },
);

test('live sessions are exactly those admitted, not displaced and not removed; epochs only grow', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const registry = new SessionRegistry();
      const live = new Map<string, { peer: string; instance: string; epoch: number }>();
      for (const item of steps) {
        if (typeof item === 'string') {
          registry.remove(item);
          live.delete(item);
          continue;
        }
        const before = live.get(item.sessionId);
        const result = registry.admit(item);
        if (result.ok) {
          assert.ok(result.displaced.every((id) => live.get(id)?.peer === item.peer));
          if (before?.instance === item.instance) assert.ok(item.epoch > before.epoch);
          for (const id of result.displaced) live.delete(id);
          live.set(item.sessionId, item);
        }
        for (const peer of ['red/red1', 'gray/gray1']) {
          const mine = [...live].filter(([, session]) => session.peer === peer);
          assert.deepEqual(registry.sessionsOf(peer).sort(), mine.map(([id]) => id).sort());
          assert.ok(new Set(mine.map(([, session]) => session.instance)).size <= 1);
        }
        assert.equal(registry.size, live.size);
      }
    }),
  );
});
