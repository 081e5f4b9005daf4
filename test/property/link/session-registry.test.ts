import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  type AdmissionRequest,
  SessionRegistry,
} from '../../../packages/link/src/peers/session-registry.ts';

const IDS = ['s1', 's2', 's3', 's4', 's5'];
const PEERS = ['red/red1', 'gray/gray1'];

const request = fc.record({
  peer: fc.constantFrom(...PEERS),
  instance: fc.constantFrom('i1', 'i2', 'i3'),
  sessionId: fc.constantFrom(...IDS),
  replaces: fc.option(fc.constantFrom(...IDS), { nil: undefined }),
});
const step = fc.oneof(
  { weight: 4, arbitrary: request },
  { weight: 1, arbitrary: fc.constantFrom(...IDS) },
);

type Live = Map<string, AdmissionRequest>;

/** What the contract says is displaced by an admitted request. */
function losers(live: Live, { peer, instance, sessionId, replaces }: AdmissionRequest): string[] {
  const mine = [...live].filter(([, session]) => session.peer === peer);
  return mine
    .filter(([id, session]) => {
      return session.instance === instance ? id === replaces && id !== sessionId : true;
    })
    .map(([id]) => id);
}

function isRival(one: AdmissionRequest, { peer, instance }: AdmissionRequest): boolean {
  return one.peer === peer && one.instance !== instance;
}

function judge(live: Live, registry: SessionRegistry, item: AdmissionRequest): void {
  const holder = live.get(item.sessionId);
  const expected = losers(live, item);
  const result = registry.admit(item);
  if (!result.ok) {
    const foreign =
      holder !== undefined && (holder.peer !== item.peer || holder.instance !== item.instance);
    if (result.code === 'not-authorized') assert.ok(foreign);
    // A displaced instance is refused only while another one of the peer lives.
    else assert.ok([...live.values()].some((one) => isRival(one, item)));
    return;
  }
  assert.equal(result.existing, holder !== undefined);
  if (holder !== undefined) {
    assert.deepEqual([holder.peer, holder.instance], [item.peer, item.instance]);
  }
  assert.deepEqual([...result.displaced].sort(), expected.sort());
  for (const id of result.displaced) live.delete(id);
  live.set(item.sessionId, item);
}

test('live sessions are exactly those admitted, not displaced and not removed; one instance a peer', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const registry = new SessionRegistry(() => false);
      const live: Live = new Map();
      for (const item of steps) {
        if (typeof item === 'string') {
          registry.remove(item);
          live.delete(item);
        } else {
          judge(live, registry, item);
        }
        for (const peer of PEERS) {
          const mine = [...live].filter(([, session]) => session.peer === peer);
          assert.deepEqual(registry.sessionsOf(peer).sort(), mine.map(([id]) => id).sort());
          assert.ok(new Set(mine.map(([, session]) => session.instance)).size <= 1);
        }
        for (const id of IDS) assert.equal(registry.knows(id), live.has(id));
        assert.equal(registry.size, live.size);
      }
    }),
  );
});
