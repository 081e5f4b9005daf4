import assert from 'node:assert/strict';
import { test } from 'node:test';
import { report } from '../../../bench/report.ts';
import { type Measured, summarize } from '../../../bench/results.ts';
import { createSamples } from '../../../bench/samples.ts';
import type { IdleFigures } from '../../../bench/sections/idle.ts';

const PEERS = ['routy', 'routy@24', 'ssh', 'rathole'];

const IDLE: IdleFigures = {
  streams: 1_000,
  bytesPerStream: 9_000,
  rssBaselineMB: 10,
  rssAfterMB: 11,
  afterMs: 8_000,
  steps: [
    {
      streams: 1_000,
      bytesPerStream: 9_000,
      rssMB: 19,
      openedInMs: 700,
      closed: 3,
      closedWhy: 'read ECONNRESET',
    },
  ],
};

function measured(over: Partial<Measured> = {}): Measured {
  const samples = createSamples();
  const echoUs = { routy: 300, 'routy@24': 200, ssh: 150, rathole: 140 };
  for (const [peer, us] of Object.entries(echoUs)) samples.add(peer, 'echo.p50Us', us);
  return {
    ...{ samples, peers: PEERS, idle: new Map(), resume: new Map(), herds: [], link: null },
    ...{ problems: [], rounds: 1, seconds: 2 },
    notes: { routy: 'Node 20.20.2', 'routy@24': 'Node 24.21.0', ssh: 'ssh -R', rathole: 'Noise' },
    machine: { cpu: 'c', cores: 2, memoryGB: 4, kernel: '6', node: 'v20.20.2', loadAtStart: 0 },
    ...over,
  };
}

test('Routy on each Node has its figure, its ratio and its targets', () => {
  const { echo, targets } = summarize(measured());
  assert.equal(echo.p50Us.routy, 300);
  assert.equal(echo.p50Us.ratioToSsh, 2);
  assert.deepEqual(echo.p50Us.peers, { 'routy@24': 200, rathole: 140 });
  assert.deepEqual(echo.p50Us.ratiosToSsh, { 'routy@24': 1.333 });
  const echoTargets = targets
    .filter(({ what }) => what === 'echo p50, ratio to ssh -R')
    .map(({ peer, figure, reached }) => ({ peer, figure, reached }));
  assert.deepEqual(echoTargets, [
    { peer: 'routy', figure: 2, reached: false },
    { peer: 'routy@24', figure: 1.333, reached: false },
  ]);
});

test('without ssh there is no ratio on any Node', () => {
  const { echo } = summarize(measured({ peers: ['routy', 'routy@24'], samples: createSamples() }));
  assert.equal(echo.p50Us.ratioToSsh, null);
  assert.deepEqual(echo.p50Us.ratiosToSsh, { 'routy@24': null });
});

test('the table has a column for each peer and a ratio for each Node', () => {
  const lines = report(summarize(measured()), PEERS).split('\n');
  const head = lines.find((line) => line.includes('rathole') && line.startsWith(' '));
  const row = lines.find((line) => line.startsWith('echo p50, µs'));
  assert.deepEqual(head?.trim().split(/\s+/), [...PEERS, 'routy/ssh', 'routy@24/ssh']);
  assert.deepEqual(row?.split(/\s+/).slice(3), ['300', '200', '150', '140', '2', '1.33']);
  assert.equal(head?.length, row?.length);
  assert.ok(lines.includes('routy@24: Node 24.21.0'));
  assert.ok(lines.some((line) => line.startsWith('routy@24: echo p50, ratio to ssh -R ')));
});

test('idle streams of other peers are figures without those of Routy', () => {
  const results = summarize(measured({ idle: new Map([['rathole', IDLE]]) }));
  assert.deepEqual(results.idle, { rathole: IDLE });
  const target = results.targets.find(({ what }) => what === 'bytes an idle stream, both nodes');
  assert.equal(target?.figure, null);
  assert.match(
    report(results, PEERS),
    /rathole +1000 streams: 9000 bytes each.* opened in 700 ms; 3 not held: read ECONNRESET$/m,
  );
});
