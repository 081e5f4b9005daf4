import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ABSENT_TOTALS_MAX, PeerTotals } from '../../../packages/routy/src/sessions/peer-totals.ts';

const CARRIED = { bytesSent: 5, bytesReceived: 7, bytesReplayed: 1 };

/** Comes and goes once. */
function visit(totals: PeerTotals, peer: string): void {
  totals.came(peer);
  totals.went(peer, CARRIED);
}

function peers(totals: PeerTotals): string[] {
  return totals.with([]).map(({ peer }) => peer);
}

test('of peers that went, those that went last are remembered', () => {
  const forgotten: string[] = [];
  const totals = new PeerTotals({
    isConfigured: () => false,
    onForgotten: (peer) => forgotten.push(peer),
  });
  for (let n = 0; n < ABSENT_TOTALS_MAX; n++) visit(totals, `red/red${n}`);
  visit(totals, 'red/red0');
  assert.equal(peers(totals).length, ABSENT_TOTALS_MAX);
  assert.deepEqual(forgotten, []);
  visit(totals, 'red/new1');
  visit(totals, 'red/new2');
  assert.deepEqual(forgotten, ['red/red1', 'red/red2'], 'red0 was there again');
  assert.equal(peers(totals).length, ABSENT_TOTALS_MAX);
  const twice = { peer: 'red/red0', bytesSent: 10, bytesReceived: 14, bytesReplayed: 2 };
  assert.deepEqual(
    totals.with([]).find(({ peer }) => peer === 'red/red0'),
    twice,
  );
  visit(totals, 'red/red1');
  const anew = totals.with([]).find(({ peer }) => peer === 'red/red1');
  assert.deepEqual(anew, { peer: 'red/red1', ...CARRIED });
});

test('peers that are there or configured are never forgotten', () => {
  const totals = new PeerTotals({
    isConfigured: (peer) => peer === 'gray/configured',
    onForgotten: () => undefined,
  });
  visit(totals, 'gray/configured');
  visit(totals, 'gray/connected');
  totals.came('gray/connected');
  totals.came('gray/connected');
  totals.went('gray/connected', CARRIED);
  for (let n = 0; n < 3 * ABSENT_TOTALS_MAX; n++) visit(totals, `red/red${n}`);
  const known = totals.with([{ peer: 'gray/connected', carried: CARRIED }]);
  assert.equal(known.length, ABSENT_TOTALS_MAX + 1);
  const of = (name: string) => known.find(({ peer }) => peer === name)?.bytesSent;
  assert.equal(of('gray/configured'), 5);
  assert.equal(of('gray/connected'), 15);
});
