import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { SeenIds } from '../../../packages/proto/src/session/streams/seen-ids.ts';

/** Ids of one side in a few lanes' worth of disorder, some of them said again. */
const steps = fc.array(fc.integer({ min: 0, max: 60 }), { maxLength: 150, size: 'large' });

test('whatever the order, an id is new once, and the watermark ends below the first gap', () => {
  fc.assert(
    fc.property(fc.constantFrom(1 as const, 2 as const), steps, (first, indexes) => {
      const ids = new SeenIds(first);
      const model = new Set<number>();
      for (const index of indexes) {
        const id = first + 2 * index;
        assert.equal(ids.has(id), model.has(id));
        assert.equal(ids.add(id), !model.has(id));
        model.add(id);
        let next: number = first;
        while (model.has(next)) next += 2;
        assert.equal(ids.watermark, next === first ? 0 : next - 2);
        const above = [...model].filter((each) => each > next);
        assert.deepEqual(new Set(ids.above()), new Set(above));
      }
      for (let id = 0; id < 130; id++) assert.equal(ids.has(id), model.has(id));
    }),
    { numRuns: 200 },
  );
});
