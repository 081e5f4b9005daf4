import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readOptions } from '../../../bench/options.ts';
import { LIBRARIES } from '../../../bench/link/library.ts';
import { describePlan, durationText, planOf, secondsOf } from '../../../bench/plan.ts';
import { Progress } from '../../../bench/progress.ts';

function plan(peers: readonly string[], ...argv: string[]) {
  const options = readOptions(argv);
  assert.ok(options);
  return planOf(options, peers);
}

test('a plan has every section that was asked for, and no other', () => {
  const names = (...argv: string[]) => [
    ...new Set(plan(['routy', 'ssh', 'direct'], ...argv).map(({ what }) => what)),
  ];
  assert.deepEqual(names('--only', 'throughput,echo'), ['round']);
  assert.deepEqual(names('--only', 'idle'), ['idle streams of routy', 'idle streams of ssh']);
  assert.deepEqual(names('--only', 'idle', '--quick'), ['idle streams of routy']);
  assert.deepEqual(names('--only', 'resume'), ['cuts of routy', 'cuts of ssh']);
  assert.deepEqual(names('--only', 'peers', '--quick'), [
    ...['herd of 1 from one', 'herd of 1 from many'],
    ...['herd of 50 from one', 'herd of 50 from many'],
  ]);
  assert.deepEqual(names('--only', 'link'), ['link round']);
  assert.equal(names().length, 1 + 2 + 2 + 8 + 1);
});

test('rounds take as long as their measurements of all peers, times the rounds', () => {
  const of = (peers: string[], ...argv: string[]) =>
    secondsOf(plan(peers, '--only', 'throughput', ...argv));
  const one = of(['rathole'], '--rounds', '1', '--seconds', '10', '--warm-up', '4');
  // Both ways, the connections of the warm-up, a quarter of it as bytes both ways.
  const measured = 2 * 10 + 2 * 4 + (2 * 4) / 4;
  assert.ok(one > measured && one < measured + 3, `${one} s`);
  const argv = ['--seconds', '10', '--warm-up', '4'];
  assert.equal(of(['rathole'], '--rounds', '3', ...argv), 3 * one);
  assert.equal(of(['rathole', 'bore'], '--rounds', '3', ...argv), 6 * one);
  assert.equal(of(['routy', 'routy@24'], ...argv), 2 * of(['routy'], ...argv));
});

test('every section of rounds adds its own time', () => {
  const of = (sections: string) =>
    secondsOf(plan(['bore'], '--rounds', '1', '--seconds', '10', '--only', sections));
  const alone = of('throughput');
  const added = (section: string) => Math.round(of(`throughput,${section}`) - alone);
  assert.equal(added('throughput8'), 21);
  assert.equal(added('connections'), 20);
  // Alone, and beside a bulk stream each way.
  assert.equal(added('echo'), 32);
});

test('no more rounds are planned than their time allows, and one in any case', () => {
  const rounds = (...argv: string[]) => plan(['bore'], '--only', 'echo', ...argv).length;
  assert.equal(rounds(), 5);
  const many = rounds('--rounds', '1000');
  assert.ok(many > 5 && many < 300, `${many} rounds`);
  assert.equal(rounds('--rounds', '1000', '--seconds', '100000'), 1);
});

test('the library is measured of its own peers', () => {
  const of = (...argv: string[]) => secondsOf(plan([], '--only', 'link', ...argv));
  assert.equal(Math.round((of() / of('--peers', 'routy')) * 10) / 10, LIBRARIES.length);
});

test('a plan is told with its whole time and each part of it', () => {
  const parts = [
    ...Array.from({ length: 3 }, () => ({ what: 'round', seconds: 100 })),
    { what: 'cuts of ssh', seconds: 20.2 },
  ];
  assert.equal(describePlan(parts), 'about 5 min: 3 x round 2 min, cuts of ssh 21 s');
  assert.equal(durationText(89), '89 s');
  assert.equal(durationText(91), '2 min');
});

test('progress counts what is done and corrects what is to come by what it took', () => {
  const lines: string[] = [];
  const round = { what: 'round', seconds: 10 };
  const parts = [round, round, round, { what: 'cuts of ssh', seconds: 7 }];
  const progress = new Progress(parts, (line) => lines.push(line));
  progress.done('round', 20_000);
  progress.done('round', 15_000);
  // The budget of time is used up.
  progress.drop('round');
  progress.done('cuts of ssh', 7_000);
  assert.deepEqual(lines, [
    'round 1 of 3: 20 s; about 47 s to go',
    'round 2 of 3: 15 s; about 22 s to go',
    'cuts of ssh: 7 s; that was the last',
  ]);
});
