import assert from 'node:assert/strict';
import { test } from 'node:test';
import { partBeside } from '../../hostile/calm.ts';

test('what is left beside others is interpolated, and never beyond what was measured', () => {
  const calm = [
    { cpu: 0, bulkMBps: 500 },
    { cpu: 0.6, bulkMBps: 300 },
    { cpu: 1, bulkMBps: 200 },
  ];
  for (const [cpu, part] of [
    [0, 1],
    [0.3, 0.8],
    [0.6, 0.6],
    [0.8, 0.5],
    [1, 0.4],
    [1.5, 0.4],
  ] as const) {
    assert.ok(Math.abs(partBeside(calm, cpu) - part) < 1e-9, `${cpu}: ${partBeside(calm, cpu)}`);
  }
});

test('two processes that got no more than one did are no slope to go on from', () => {
  const calm = [
    { cpu: 0, bulkMBps: 500 },
    { cpu: 0.65, bulkMBps: 300 },
    { cpu: 0.64, bulkMBps: 150 },
  ];
  assert.equal(partBeside(calm, 0.9), 0.6);
  const same = calm.map((each) => ({ ...each, cpu: Math.min(0.64, each.cpu) }));
  assert.equal(partBeside(same, 0.64), 0.6);
  assert.equal(partBeside(same, 0.9), 0.3);
});
