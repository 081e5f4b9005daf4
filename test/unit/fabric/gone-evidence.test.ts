import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type DialAnswer,
  GONE_AFTER_MS,
  GONE_ANSWERS_MIN,
  GoneEvidence,
} from '../../../packages/routy/src/fabric/gone-evidence.ts';

/** Enough answers, over enough time, from each address. */
function evidence(answers: Record<string, DialAnswer>): GoneEvidence {
  const found = new GoneEvidence(Object.keys(answers));
  for (let round = 0; round < GONE_ANSWERS_MIN; round++) {
    for (const [address, answer] of Object.entries(answers)) {
      found.note((round * GONE_AFTER_MS) / (GONE_ANSWERS_MIN - 1), address, answer);
    }
  }
  return found;
}

test('gone: every address leads to another node, or refuses while another is there', () => {
  const isGone = (answers: Record<string, DialAnswer>, othersServe = false) =>
    evidence(answers).isGone(GONE_AFTER_MS, othersServe);
  assert.equal(isGone({ a: 'other' }), true);
  assert.equal(isGone({ a: 'other', b: 'refused' }), true);
  assert.equal(isGone({ a: 'refused' }), false, 'nobody else is there: it may come back');
  assert.equal(isGone({ a: 'refused', b: 'refused' }, true), true);
  assert.equal(isGone({ a: 'other', b: 'unclear' }), false, 'it may be behind the silent address');
  assert.equal(isGone({ a: 'unclear' }, true), false, 'silence proves nothing');
});

test('not gone yet: too few answers, or too soon', () => {
  const soon = new GoneEvidence(['a']);
  for (let count = 0; count < 10; count++) soon.note(count, 'a', 'other');
  assert.equal(soon.isGone(GONE_AFTER_MS - 1, true), false);
  assert.equal(soon.isGone(GONE_AFTER_MS, true), true);
  const few = new GoneEvidence(['a']);
  few.note(0, 'a', 'other');
  few.note(GONE_AFTER_MS, 'a', 'other');
  assert.equal(few.isGone(GONE_AFTER_MS * 2, true), false);
});

test('an address that may be the node again begins anew', () => {
  const found = evidence({ a: 'other' });
  found.note(GONE_AFTER_MS, 'a', 'unclear');
  assert.equal(found.isGone(GONE_AFTER_MS, true), false);
  found.note(GONE_AFTER_MS, 'a', 'other');
  assert.equal(found.isGone(GONE_AFTER_MS * 2, true), false);
  const other = evidence({ a: 'other' });
  other.clear();
  assert.equal(other.isGone(GONE_AFTER_MS, true), false);
});
