import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Absences } from '../../../packages/routy/src/peers/absences.ts';

const peer = { name: 'red/red1', remoteAddress: '192.0.2.1:5000' };
const refusal = { code: 'settings-mismatch', reason: 'a: 1 here', remote: false } as const;

test('a peer that is refused again and again is counted since the first time', () => {
  const absences = new Absences();
  for (const nowMs of [1_000, 2_000, 3_000]) absences.note(nowMs, peer, 'refused', refusal);
  const [status] = absences.status();
  assert.equal(status?.attempts, 3);
  assert.equal(status.since, '1970-01-01T00:00:01.000Z');
  assert.match(status.reason ?? '', /a: 1 here \(settings-mismatch\)/);
  assert.match(status.hint ?? '', /\[fabric\]/);
  absences.note(4_000, peer, 'down', { code: 'lane-lost', reason: 'reset', remote: false });
  assert.deepEqual(
    absences.status().map(({ state, attempts, since }) => ({ state, attempts, since })),
    [{ state: 'down', attempts: 0, since: '1970-01-01T00:00:04.000Z' }],
  );
  absences.forget(peer.name);
  assert.deepEqual(absences.status(), []);
});

test('the oldest of very many is forgotten', () => {
  const absences = new Absences();
  for (let node = 0; node <= 1_000; node += 1) {
    absences.note(0, { ...peer, name: `red/red${node}` }, 'refused', refusal);
  }
  const names = absences.status().map(({ name }) => name);
  assert.equal(names.length, 1_000);
  assert.equal(names[0], 'red/red1');
});
