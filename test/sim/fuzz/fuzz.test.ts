import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FRAME_RULES } from '../../../packages/proto/src/wire/layout.ts';
import { readFuzzOptions } from './options.ts';
import { Fuzzer } from './run.ts';

const INPUTS = 100_000;

const EXPECTED = [
  'decoder whole',
  'decoder incomplete',
  'decoder frame-type',
  'decoder frame-flags',
  'decoder frame-reserved',
  'decoder frame-length',
  'decoder frame-stream',
  'decoder frame-offset',
  'session open',
  'session frame-type',
  'session frame-order',
  'session frame-payload',
  'session stream-id',
  'session stream-state',
  'session credit-exceeded',
  'session final-size',
  'session resume',
  'session unknown-session',
  'greeting waiting',
  'greeting joined',
  'greeting early',
  'greeting stale-epoch',
  'greeting not-authorized',
  'greeting frame-order',
  'greeting frame-payload',
];

test('no mutated input crashes a decoder or a session, and every refusal is met', () => {
  const stackTraceLimit = Error.stackTraceLimit;
  Error.stackTraceLimit = 0;
  const fuzzer = new Fuzzer(1);
  for (let index = 0; index < INPUTS; index++) fuzzer.run(index);
  Error.stackTraceLimit = stackTraceLimit;
  const { inputs, outcomes, heldBytesMax } = fuzzer.result;
  assert.equal(inputs, INPUTS);
  assert.deepEqual(
    EXPECTED.filter((outcome) => !outcomes.has(outcome)),
    [],
  );
  const limit = Math.max(...[...FRAME_RULES.values()].map((rule) => rule.payloadBytesMax));
  assert.ok(heldBytesMax > 0 && heldBytesMax <= limit, `held ${heldBytesMax}`);
});

test('an input depends on seed and index alone', () => {
  const indices = [0, 16, 5000, 70_003];
  const alone = indices.map((index) => outcomesOf([index]));
  const together = outcomesOf([0, 16, 5000, 70_003]);
  const sum = new Map<string, number>();
  for (const one of alone) {
    for (const [outcome, count] of one) sum.set(outcome, (sum.get(outcome) ?? 0) + count);
  }
  assert.deepEqual(together, sum);
});

function outcomesOf(indices: readonly number[]): ReadonlyMap<string, number> {
  const fuzzer = new Fuzzer(1);
  for (const index of indices) fuzzer.run(index);
  return fuzzer.result.outcomes;
}

test('what is no number of inputs makes none, in place of a run that finds nothing', () => {
  for (const args of [
    ['--count', 'x'],
    ['--count', '1.5'],
    ['--seed', '-1'],
    ['--cout', '5'],
  ])
    assert.equal(readFuzzOptions('fuzz', args), undefined, args.join(' '));
  const given = ['--seed', '7', '--at', '3'];
  assert.deepEqual(readFuzzOptions('fuzz', given), { seed: 7, first: 3, count: 1 });
});
