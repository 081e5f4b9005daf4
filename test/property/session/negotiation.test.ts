import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { SessionEvent } from '../../../packages/proto/src/session/events.ts';
import {
  negotiate,
  noCommonVersion,
  type Offer,
} from '../../../packages/proto/src/session/negotiation.ts';
import type { Agreement } from '../../../packages/proto/src/wire/payload.ts';
import { Pair } from '../../support/session/session-pair.ts';

const NAMES = ['compressed', 'checksums', 'ranges', 'étendue'];

const offers: fc.Arbitrary<Offer> = fc.record({
  versions: fc.array(fc.integer({ min: 1, max: 6 }), { maxLength: 4 }),
  capabilities: fc.array(fc.constantFrom(...NAMES), { maxLength: 5 }),
});

/**
 * What both ends hear of one stream: the agreement, or the words of a refusal. Of one that was lost
 * with its lane the opener hears the code alone.
 */
interface Outcome {
  readonly opener: Agreement | string | undefined;
  readonly acceptor: Agreement | string | undefined;
}

/** The acceptor's part: picks, or refuses for want of a common version. */
function answer(pair: Pair, own: Offer): Agreement | string | undefined {
  const event = last(pair.acceptorEvents, 'opened');
  if (event === undefined) return undefined;
  const { stream, request } = event;
  const picked = negotiate(request, own);
  if (picked === undefined) {
    const reason = noCommonVersion(request.protocol, request, own);
    pair.acceptor.session.reset(stream, 'unsupported-version', reason);
    return reason;
  }
  pair.acceptor.session.accept(stream, picked);
  pair.acceptor.session.write(pair.acceptor.nowMs, stream, new Uint8Array(1));
  return picked;
}

function last<K extends SessionEvent['kind']>(events: readonly SessionEvent[], kind: K) {
  return events.findLast((event) => event.kind === kind) as
    | Extract<SessionEvent, { kind: K }>
    | undefined;
}

/** Opens a stream over a lane that may be lost under ACCEPT, and again under what is said anew. */
function negotiateOver(pair: Pair, offer: Offer, own: Offer, cuts: number): Outcome {
  const request = { protocol: 'queue', service: 'x', ...offer };
  assert.ok(pair.dialler.session.open(pair.dialler.nowMs, request).ok);
  pair.exchange();
  let [lane] = pair.lanes;
  if (cuts > 0) pair.hold(lane!, 'acceptor');
  const acceptor = answer(pair, own);
  pair.exchange();
  for (let cut = 1; cut <= cuts; cut++) {
    pair.cut(lane!, 'dialler', 'acceptor');
    lane = cut < cuts ? pair.dial('acceptor') : pair.dial();
  }
  pair.exchange();
  const accepted = last(pair.diallerEvents, 'accepted');
  const refused = last(pair.diallerEvents, 'reset');
  if (refused !== undefined) assert.equal(refused.code, 'unsupported-version');
  const words = cuts > 0 && refused !== undefined ? acceptor : refused?.reason;
  return { acceptor, opener: accepted?.picked ?? words };
}

test('two ends with any versions and capabilities agree, or both hear that they cannot, before any byte', () => {
  fc.assert(
    fc.property(offers, offers, fc.integer({ min: 0, max: 2 }), (offer, own, cuts) => {
      const pair = new Pair();
      const { opener, acceptor } = negotiateOver(pair, offer, own, cuts);
      assert.notEqual(acceptor, undefined);
      assert.deepEqual(opener, acceptor);
      const common = offer.versions.filter((version) => own.versions.includes(version));
      if (typeof acceptor === 'string') {
        assert.equal(common.length, 0);
        assert.ok(last(pair.diallerEvents, 'reset'));
        for (const version of [...own.versions, ...offer.versions]) {
          assert.ok(acceptor!.includes(`${version}`), acceptor);
        }
      } else {
        assert.equal(acceptor!.version, Math.max(...common));
        const both = NAMES.filter(
          (name) => offer.capabilities.includes(name) && own.capabilities.includes(name),
        );
        assert.deepEqual([...acceptor!.capabilities].sort(), both.sort());
        const kinds = pair.diallerEvents.map(({ kind }) => kind);
        assert.ok(kinds.indexOf('accepted') < kinds.indexOf('data'), 'known before the first byte');
        assert.equal(kinds.filter((kind) => kind === 'accepted').length, 1);
      }
      assert.ok(!pair.dialler.session.closed && !pair.acceptor.session.closed);
    }),
    { numRuns: 300 },
  );
});

test('the capabilities of a session are those that both ends name, at both ends', () => {
  const names = fc.array(fc.constantFrom(...NAMES), { maxLength: 4 });
  fc.assert(
    fc.property(names, names, (dialler, acceptor) => {
      const pair = new Pair({ capabilities: dialler }, { capabilities: acceptor });
      const both = NAMES.filter((name) => dialler.includes(name) && acceptor.includes(name));
      for (const events of [pair.diallerEvents, pair.acceptorEvents]) {
        const { capabilities } = last(events, 'established')!;
        assert.deepEqual([...capabilities].sort(), [...both].sort());
      }
    }),
  );
});
