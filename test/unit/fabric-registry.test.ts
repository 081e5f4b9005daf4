import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SessionRegistry } from '../../src/fabric/registry.ts';

const FIRST = { peer: 'red/red1', instance: 'i1', sessionId: 's1', epoch: 1 };

test('a new session is admitted and displaces nothing', () => {
  const registry = new SessionRegistry();
  assert.deepEqual(registry.admit(FIRST), { ok: true, displaced: [] });
  assert.deepEqual(registry.sessionsOf('red/red1'), ['s1']);
});

test('a newer epoch of the same session wins and displaces the older transport', () => {
  const registry = new SessionRegistry();
  registry.admit(FIRST);
  assert.deepEqual(registry.admit({ ...FIRST, epoch: 2 }), { ok: true, displaced: ['s1'] });
  assert.equal(registry.size, 1);
});

test('an equal or older epoch is refused and changes nothing', () => {
  const registry = new SessionRegistry();
  registry.admit({ ...FIRST, epoch: 5 });
  for (const epoch of [5, 4, 0]) {
    const refused = registry.admit({ ...FIRST, epoch });
    assert.deepEqual(refused, {
      ok: false,
      code: 'stale-epoch',
      reason: `epoch ${epoch} of session s1 is not newer than 5`,
    });
  }
  assert.deepEqual(registry.admit({ ...FIRST, epoch: 6 }), { ok: true, displaced: ['s1'] });
});

test('several sessions of one instance live side by side', () => {
  const registry = new SessionRegistry();
  registry.admit(FIRST);
  assert.deepEqual(registry.admit({ ...FIRST, sessionId: 's2' }), { ok: true, displaced: [] });
  assert.deepEqual(registry.sessionsOf('red/red1'), ['s1', 's2']);
});

test('a restarted peer displaces all sessions of its former process', () => {
  const registry = new SessionRegistry();
  registry.admit(FIRST);
  registry.admit({ ...FIRST, sessionId: 's2' });
  const restarted = registry.admit({ ...FIRST, instance: 'i2', sessionId: 's3' });
  assert.deepEqual(restarted, { ok: true, displaced: ['s1', 's2'] });
  assert.deepEqual(registry.sessionsOf('red/red1'), ['s3']);
});

test('a displaced process may not come back while the newer lives', () => {
  const registry = new SessionRegistry();
  registry.admit(FIRST);
  registry.admit({ ...FIRST, instance: 'i2', sessionId: 's2' });
  assert.deepEqual(registry.admit({ ...FIRST, epoch: 99 }), {
    ok: false,
    code: 'stale-epoch',
    reason: 'this instance of red/red1 was replaced by a newer one',
  });
  registry.remove('s2');
  assert.equal(registry.admit({ ...FIRST, epoch: 99 }).ok, true);
});

test('the end of a displaced transport does not take its successor away', () => {
  const registry = new SessionRegistry();
  registry.admit(FIRST);
  registry.admit({ ...FIRST, epoch: 2 });
  registry.remove('s1', 1);
  assert.deepEqual(registry.sessionsOf('red/red1'), ['s1']);
  registry.remove('s1', 2);
  assert.deepEqual(registry.sessionsOf('red/red1'), []);
  registry.remove('s1');
  assert.equal(registry.size, 0);
});

test('a session id held by another peer is refused', () => {
  const registry = new SessionRegistry();
  registry.admit(FIRST);
  assert.deepEqual(registry.admit({ ...FIRST, peer: 'gray/gray1', epoch: 2 }), {
    ok: false,
    code: 'stale-epoch',
    reason: 'session s1 belongs to red/red1',
  });
});

test('the memory of displaced processes is bounded', () => {
  const registry = new SessionRegistry();
  for (let index = 0; index < 100; index++) {
    registry.admit({ ...FIRST, instance: `i${index}`, sessionId: `s${index}` });
  }
  assert.equal(registry.admit({ ...FIRST, instance: 'i98', sessionId: 'x' }).ok, false);
  // Long forgotten, so it counts as a new process.
  assert.equal(registry.admit({ ...FIRST, instance: 'i0', sessionId: 'x' }).ok, true);
});
