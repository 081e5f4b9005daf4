import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  PEER_SESSIONS_MAX,
  SESSIONS_MAX,
  SessionRegistry,
} from '../../../packages/link/src/peers/session-registry.ts';

const FIRST = { peer: 'red/red1', instance: 'i1', sessionId: 's1' };
const ADMITTED = { ok: true, existing: false, displaced: [] };

test('a new session is admitted and displaces nothing', () => {
  const registry = new SessionRegistry(() => false);
  assert.equal(registry.knows('s1'), false);
  assert.deepEqual(registry.admit(FIRST), ADMITTED);
  assert.deepEqual(registry.sessionsOf('red/red1'), ['s1']);
  assert.equal(registry.knows('s1'), true);
});

test('a further lane of the same session finds it, and displaces nothing', () => {
  const registry = new SessionRegistry(() => false);
  registry.admit(FIRST);
  assert.deepEqual(registry.admit(FIRST), { ok: true, existing: true, displaced: [] });
  assert.equal(registry.size, 1);
});

test('several sessions of one instance live side by side', () => {
  const registry = new SessionRegistry(() => false);
  registry.admit(FIRST);
  assert.deepEqual(registry.admit({ ...FIRST, sessionId: 's2' }), ADMITTED);
  assert.deepEqual(registry.sessionsOf('red/red1'), ['s1', 's2']);
});

test('a session that the peer has given up goes when its successor comes', () => {
  const registry = new SessionRegistry(() => false);
  registry.admit(FIRST);
  registry.admit({ ...FIRST, sessionId: 's2' });
  assert.deepEqual(registry.admit({ ...FIRST, sessionId: 's3', replaces: 's1' }), {
    ok: true,
    existing: false,
    displaced: ['s1'],
  });
  assert.deepEqual(registry.sessionsOf('red/red1'), ['s2', 's3']);
  assert.equal(registry.knows('s1'), false);
});

test('a session replaces nothing that is gone, unknown, itself or of another peer', () => {
  const registry = new SessionRegistry(() => false);
  registry.admit({ ...FIRST, peer: 'gray/gray1', sessionId: 'g1' });
  registry.admit(FIRST);
  for (const replaces of ['g1', 'unknown', 's2']) {
    assert.deepEqual(registry.admit({ ...FIRST, sessionId: 's2', replaces }), ADMITTED);
    registry.remove('s2');
  }
  const again = registry.admit({ ...FIRST, replaces: 's1' });
  assert.deepEqual(again, { ok: true, existing: true, displaced: [] });
  assert.equal(registry.size, 2);
});

test('a restarted peer displaces all sessions of its former process', () => {
  const registry = new SessionRegistry(() => false);
  registry.admit(FIRST);
  registry.admit({ ...FIRST, sessionId: 's2' });
  const restarted = registry.admit({ ...FIRST, instance: 'i2', sessionId: 's3' });
  assert.deepEqual(restarted, { ok: true, existing: false, displaced: ['s1', 's2'] });
  assert.deepEqual(registry.sessionsOf('red/red1'), ['s3']);
});

test('a displaced process may not come back while the newer lives', () => {
  const registry = new SessionRegistry(() => false);
  registry.admit(FIRST);
  registry.admit({ ...FIRST, instance: 'i2', sessionId: 's2' });
  for (const sessionId of ['s1', 's9']) {
    assert.deepEqual(registry.admit({ ...FIRST, sessionId }), {
      ok: false,
      code: 'stale-epoch',
      reason: 'this instance of red/red1 was replaced by a newer one',
    });
  }
  registry.remove('s2');
  assert.equal(registry.admit(FIRST).ok, true);
});

test('a session id held by another peer, or by another process of it, is refused', () => {
  const registry = new SessionRegistry(() => false);
  registry.admit(FIRST);
  assert.deepEqual(registry.admit({ ...FIRST, peer: 'gray/gray1' }), {
    ok: false,
    code: 'not-authorized',
    reason: 'session s1 belongs to another node',
  });
  assert.deepEqual(registry.admit({ ...FIRST, instance: 'i2' }), {
    ok: false,
    code: 'not-authorized',
    reason: 'session s1 belongs to another instance of red/red1',
  });
  assert.deepEqual(registry.admit(FIRST), { ok: true, existing: true, displaced: [] });
});

test('a removed session is unknown, and removing it again takes nothing else away', () => {
  const registry = new SessionRegistry(() => false);
  registry.admit(FIRST);
  registry.admit({ ...FIRST, sessionId: 's2' });
  registry.remove('s1');
  registry.remove('s1');
  registry.remove('never');
  assert.equal(registry.knows('s1'), false);
  assert.deepEqual(registry.sessionsOf('red/red1'), ['s2']);
  registry.remove('s2');
  assert.equal(registry.size, 0);
});

test('the memory of displaced processes is bounded', () => {
  const registry = new SessionRegistry(() => false);
  for (let index = 0; index < 100; index++) {
    registry.admit({ ...FIRST, instance: `i${index}`, sessionId: `s${index}` });
  }
  assert.equal(registry.admit({ ...FIRST, instance: 'i98', sessionId: 'x' }).ok, false);
  // Long forgotten, so it counts as a new process.
  assert.equal(registry.admit({ ...FIRST, instance: 'i0', sessionId: 'x' }).ok, true);
});

/** As many sessions of one peer as it may have: s0, s1, … */
function crowded(suspended: ReadonlySet<string>): SessionRegistry {
  const registry = new SessionRegistry((id) => suspended.has(id));
  for (let index = 0; index < PEER_SESSIONS_MAX; index++) {
    assert.ok(registry.admit({ ...FIRST, sessionId: `s${index}` }).ok);
  }
  return registry;
}

test('a peer with too many sessions is never refused: its oldest suspended one gives way', () => {
  const suspended = new Set(['s3', 's5']);
  const registry = crowded(suspended);
  const displaced = (sessionId: string) => {
    const result = registry.admit({ ...FIRST, sessionId });
    return result.ok ? result.displaced : result.reason;
  };
  assert.deepEqual(displaced('s9'), [], 'a further lane of a session it has');
  assert.deepEqual(displaced('t1'), ['s3']);
  assert.deepEqual(displaced('t2'), ['s5']);
  assert.deepEqual(displaced('t3'), ['s0'], 'lanes carry all of them: the oldest');
  assert.equal(registry.size, PEER_SESSIONS_MAX);
  const replaced = registry.admit({ ...FIRST, sessionId: 't4', replaces: 't1' });
  assert.deepEqual(replaced.ok && replaced.displaced, ['t1'], 'and no other');
});

test('too many sessions of all peers: the peer that has most gives one up', () => {
  const registry = new SessionRegistry((id) => id === 'big 2');
  for (let index = 0; index < 3; index++) {
    registry.admit({ ...FIRST, peer: 'red/big', sessionId: `big ${index}` });
  }
  for (let index = 3; index < SESSIONS_MAX; index++) {
    registry.admit({ ...FIRST, peer: `red/${index}`, sessionId: `s${index}` });
  }
  const result = registry.admit({ ...FIRST, peer: 'red/late', sessionId: 'late' });
  assert.deepEqual(result, { ok: true, existing: false, displaced: ['big 2'] });
  assert.equal(registry.size, SESSIONS_MAX);
});
