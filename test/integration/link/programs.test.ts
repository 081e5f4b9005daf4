import assert from 'node:assert/strict';
import { setTimeout as pause } from 'node:timers/promises';
import { test } from 'node:test';
import { until } from '../../support/lanes/lane-pair.ts';
import { RandomProgram } from '../../support/random-program.ts';

const SEEDS = Array.from({ length: 24 }, (_, index) => index + 1);
const STEPS = 150;

/**
 * What programs of chance do, in whatever order: streams in all forms, requests, turns, conversations,
 * peers and owners that go, cuts. The order of events is not the seed's alone: it depends on the machine.
 */
test('nothing that a program waits for is forgotten, no count falls, and a close leaves nothing', {
  timeout: 120_000,
}, async () => {
  for (const seed of SEEDS) {
    const program = await RandomProgram.start(seed);
    for (let step = 0; step < STEPS; step++) {
      program.step();
      if (program.random.chance(0.4)) await pause(program.random.int(0, 5));
      if (step % 10 === 0) program.countsOnlyGrow();
    }
    await program.close();
    await until(
      `seed ${seed}: all that was waited for is over: ${program.waiting}`,
      () => program.waiting.length === 0,
    );
    assert.deepEqual(program.surprises, [], `seed ${seed}`);
    program.countsOnlyGrow();
    assert.deepEqual(program.left, [], `seed ${seed}`);
  }
});
