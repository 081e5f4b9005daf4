import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Directory } from '../../src/fabric/directory.ts';

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
);

test('applying the reported changes always gives the truth about reachability', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const directory = new Directory();
      const reachable = new Set<string>();
      for (const item of steps) {
        const changes =
          item.kind === 'add'
            ? directory.addSession(item)
            : item.kind === 'offer'
              ? directory.offer(item.sessionId, item.services)
              : directory.removeSession(item.sessionId);
        for (const change of changes) {
          const name = `${change.site}/${change.service}`;
          assert.equal(reachable.has(name), !change.reachable, `${name} changed to what it was`);
          if (change.reachable) reachable.add(name);
          else reachable.delete(name);
        }
        for (const site of SITES) {
          for (const service of SERVICES) {
            const found = directory.sessionsFor(site, service).length > 0;
            assert.equal(directory.isReachable(site, service), found);
            assert.equal(reachable.has(`${site}/${service}`), found);
          }
        }
      }
    }),
  );
});
