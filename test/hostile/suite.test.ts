import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BEHAVIOURS, PEER_BEHAVIOURS } from './behaviours/behaviours.ts';
import { LIMITS } from './limits.ts';
import { runHostile } from './run.ts';
import { STRANGER_BEHAVIOURS } from './behaviours/strangers.ts';

/** Of each behaviour. `npm run hostile` takes longer, and judges the speed of the honest tunnel too. */
const SECONDS = 0.6;

test('every behaviour has a name of its own', () => {
  assert.equal(new Set(BEHAVIOURS.map(({ name }) => name)).size, BEHAVIOURS.length);
  assert.ok(PEER_BEHAVIOURS.length >= 60);
  assert.ok(STRANGER_BEHAVIOURS.length >= 20);
});

test('hostile peers and strangers leave an honest tunnel alone', async (t) => {
  const report = await runHostile({ only: [], seconds: SECONDS, idleSeconds: 90 });
  t.diagnostic(
    `RSS at most ${report.rssMiBMax.toFixed(0)} MiB, after ${JSON.stringify(report.after)}`,
  );
  t.diagnostic(`${report.logLinesInWorstMinute} log lines in the worst minute`);
  for (const { name, rounds, failure } of report.outcomes) {
    assert.equal(failure, undefined, `${name}: ${failure}`);
    assert.ok(rounds > 0, `${name} never began`);
  }
  assert.ok(report.rssMiBMax < LIMITS.rssMiB, `RSS ${report.rssMiBMax.toFixed(0)} MiB`);
  assert.ok(
    report.logLinesInWorstMinute < LIMITS.logLinesAMinute,
    `${report.logLinesInWorstMinute} log lines in a minute`,
  );
  assert.equal(report.after.streams, 0);
  assert.equal(report.after.heldBytes, 0);
});
