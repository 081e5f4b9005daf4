import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Backlog } from '../../../packages/link/src/driver/backlog.ts';
import type { LaneLink } from '../../../packages/link/src/driver/lanes/lane-link.ts';
import { until } from '../../support/process.ts';

/** A lane whose peer yields for good. */
function yielding() {
  const link = { yields: true, gone: false, calls: [] as string[], hold() {}, release() {} };
  link.hold = () => void link.calls.push('hold');
  link.release = () => void link.calls.push('release');
  return { link, links: [link as unknown as LaneLink] };
}

test('lanes are held while events are left', () => {
  const { link, links } = yielding();
  const left = new Backlog(links, 1000);
  left.hold(false);
  assert.deepEqual(link.calls, []);
  left.hold(true);
  left.hold(true);
  assert.equal(left.holds, true);
  left.hold(false);
  assert.deepEqual(link.calls, ['hold', 'hold', 'release']);
  assert.equal(left.holds, false);
});

test('who holds its lanes for too long yields no more, as their heartbeats wait too', async () => {
  const { link, links } = yielding();
  const left = new Backlog(links, 100);
  assert.equal(left.yields, true, 'nothing is held');
  left.hold(true);
  assert.equal(left.yields, true);
  await until('it yields no more', () => !left.yields);
  left.hold(false);
  assert.equal(left.yields, true);
  link.gone = true;
  assert.equal(left.yields, false, 'no lane would say when that is over');
});
