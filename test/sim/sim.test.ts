import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Clock } from './clock.ts';
import { contentAt, contentMismatch } from './apps/content.ts';
import { Random } from './random.ts';
import { Trace } from './trace.ts';
import { type RunResult, runSeed } from './world.ts';

const SEEDS = 250;

const results: RunResult[] = [];

test(`${SEEDS} seeds hold every invariant and settle`, () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    try {
      results.push(runSeed(seed));
    } catch (error) {
      throw new Error(`seed ${seed}: npm run sim -- --seed ${seed} --trace`, { cause: error });
    }
  }
});

test('the seeds put the protocol to some work', () => {
  const sum = (figure: (result: RunResult) => number) =>
    results.reduce((total, result) => total + figure(result), 0);
  assert.equal(results.length, SEEDS);
  assert.ok(sum((result) => result.finished) > 2 * SEEDS, 'conversations finished');
  assert.ok(sum((result) => result.lanes) > 5 * SEEDS, 'lanes');
  assert.ok(sum((result) => result.resumed) > SEEDS, 'sessions resumed');
  assert.ok(sum((result) => result.replayedBytes) > 1_000_000, 'bytes sent again');
  assert.ok(sum((result) => result.bytes) > 10_000_000, 'bytes');
  assert.equal(new Set(results.map((result) => result.hash)).size, SEEDS, 'all different');
});

test('a seed replays exactly', () => {
  for (const seed of [1, 7, 23]) {
    const lines: string[][] = [[], []];
    const hashes = lines.map((kept) => runSeed(seed, (line) => kept.push(line)).hash);
    assert.equal(hashes[0], hashes[1]);
    assert.deepEqual(lines[0], lines[1]);
    assert.equal(hashes[0], results[seed - 1]!.hash);
  }
});

test('the trace hash is FNV-1a of 64 bits', () => {
  const trace = new Trace();
  assert.equal(trace.hash, 'cbf29ce484222325');
  trace.add('foobar');
  let expected = 0xcbf29ce484222325n;
  for (const byte of new TextEncoder().encode('foobar\n')) {
    expected = ((expected ^ BigInt(byte)) * 0x100000001b3n) & 0xffff_ffff_ffff_ffffn;
  }
  assert.equal(trace.hash, expected.toString(16).padStart(16, '0'));
});

test('the clock runs tasks by time, then by order of entry', () => {
  const clock = new Clock();
  const random = new Random(1);
  const expected: [number, number][] = [];
  const ran: [number, number][] = [];
  for (let i = 0; i < 500; i++) {
    const atMs = random.int(0, 50);
    const task = clock.at(atMs, () => ran.push([atMs, i]));
    if (i % 7 === 0) task.cancelled = true;
    else expected.push([atMs, i]);
  }
  while (clock.step(100));
  expected.sort(([a, i], [b, j]) => a - b || i - j);
  assert.deepEqual(ran, expected);
  assert.equal(clock.nowMs, 100);
  assert.equal(clock.pending, 0);
});

test('content knows its place and its direction', () => {
  const bytes = contentAt(3, 100_000, 200_000);
  assert.equal(contentMismatch(3, 100_000, bytes), -1);
  assert.notEqual(contentMismatch(3, 100_001, bytes), -1);
  assert.notEqual(contentMismatch(3, 100_000 - 65_536, bytes), -1);
  assert.notEqual(contentMismatch(2, 100_000, bytes), -1);
  bytes[77_777]! ^= 1;
  assert.equal(contentMismatch(3, 100_000, bytes), 77_777);
});
