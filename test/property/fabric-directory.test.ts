import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Directory, type ReachabilityChange } from '../../packages/routy/src/fabric/directory.ts';

const SITES = ['gray', 'red'];
const SERVICES = ['postgres', 'redis', 'x'];
const sessionId = fc.constantFrom('a', 'b', 'c', 'd');
const step = fc.oneof(
  fc.record({
    kind: fc.constant('add' as const),
    sessionId,
    site: fc.constantFrom(...SITES),
    node: fc.constantFrom('n1', 'n2'),
  }),
  fc.record({
    kind: fc.constant('offer' as const),
    sessionId,
    services: fc.array(fc.constantFrom(...SERVICES), { maxLength: 4 }),
  }),
  fc.record({ kind: fc.constant('remove' as const), sessionId }),
  fc.record({
    kind: fc.constantFrom('watch' as const, 'unwatch' as const),
    site: fc.constantFrom(...SITES),
    service: fc.constantFrom(...SERVICES),
  }),
);

type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** What is true, found out by looking at everything. */
class Truth {
  readonly sessions = new Map<string, { site: string; services: readonly string[] }>();
  readonly watched = new Set<string>();

  apply(item: Step): void {
    if (item.kind === 'add') {
      // Behind all others, even when it was there before.
      this.sessions.delete(item.sessionId);
      this.sessions.set(item.sessionId, { site: item.site, services: [] });
    } else if (item.kind === 'offer') {
      const session = this.sessions.get(item.sessionId);
      if (session !== undefined) session.services = item.services;
    } else if (item.kind === 'remove') this.sessions.delete(item.sessionId);
    else if (item.kind === 'watch') this.watched.add(`${item.site}/${item.service}`);
    else this.watched.delete(`${item.site}/${item.service}`);
  }

  sessionsFor(site: string, service: string): string[] {
    return [...this.sessions]
      .filter(([, session]) => session.site === site && session.services.includes(service))
      .map(([sessionId]) => sessionId);
  }
}

function apply(directory: Directory, item: Step): ReachabilityChange[] {
  switch (item.kind) {
    case 'add':
      return directory.addSession(item);
    case 'offer':
      return directory.offer(item.sessionId, new Set(item.services));
    case 'remove':
      return directory.removeSession(item.sessionId);
    default:
      directory[item.kind](item.site, item.service);
      return [];
  }
}

test('every question is answered truly, and the changes told are those of watched services', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const [directory, truth] = [new Directory(), new Truth()];
      const names = SITES.flatMap((site) => SERVICES.map((service) => ({ site, service })));
      for (const item of steps) {
        const reachable = ({ site, service }: { site: string; service: string }): boolean =>
          truth.sessionsFor(site, service).length > 0;
        const before = names.filter(reachable);
        const changes = apply(directory, item);
        truth.apply(item);
        const told = changes.map(
          ({ site, service, reachable: now }) => `${site}/${service} ${now}`,
        );
        const expected = names
          .filter((each) => before.includes(each) !== reachable(each))
          .filter(({ site, service }) => truth.watched.has(`${site}/${service}`))
          .map((each) => `${each.site}/${each.service} ${reachable(each)}`);
        assert.deepEqual(told.sort(), expected.sort());
        for (const each of names) {
          const { site, service } = each;
          assert.equal(directory.isReachable(site, service), reachable(each));
          const found = directory.sessionsFor(site, service).map(({ sessionId }) => sessionId);
          assert.deepEqual(found, truth.sessionsFor(site, service));
        }
        for (const site of SITES) {
          const there = [...truth.sessions.values()].some((session) => session.site === site);
          assert.equal(directory.hasSite(site), there);
        }
      }
    }),
  );
});
