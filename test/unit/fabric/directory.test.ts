import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Directory } from '../../../packages/routy/src/fabric/directory.ts';

function directoryWith(...sessionIds: string[]): Directory {
  const directory = new Directory();
  for (const service of ['postgres', 'redis']) directory.watch('gray', service);
  for (const sessionId of sessionIds) {
    directory.addSession({ sessionId, site: 'gray', node: `node-${sessionId}` });
  }
  return directory;
}

test('a session offers nothing until its peer says so', () => {
  const directory = directoryWith('a');
  assert.equal(directory.isReachable('gray', 'postgres'), false);
  assert.deepEqual(directory.sessionsFor('gray', 'postgres'), []);
  assert.equal(directory.hasSite('gray'), true);
  assert.equal(directory.hasSite('red'), false);
});

test('an offer makes the service reachable, its withdrawal not', () => {
  const directory = directoryWith('a');
  assert.deepEqual(directory.offer('a', new Set(['postgres', 'redis'])), [
    { site: 'gray', service: 'postgres', reachable: true },
    { site: 'gray', service: 'redis', reachable: true },
  ]);
  assert.deepEqual(directory.sessionsFor('gray', 'postgres'), [
    { sessionId: 'a', peer: 'gray/node-a' },
  ]);
  assert.deepEqual(directory.sessionsFor('red', 'postgres'), []);
  assert.deepEqual([...directory.offersOf('a')], ['postgres', 'redis']);
  assert.deepEqual(directory.offer('a', new Set(['redis'])), [
    { site: 'gray', service: 'postgres', reachable: false },
  ]);
});

test('the same offer again, or one of an unknown session, changes nothing', () => {
  const directory = directoryWith('a');
  directory.offer('a', new Set(['postgres']));
  assert.deepEqual(directory.offer('a', new Set(['postgres'])), []);
  assert.deepEqual(directory.offer('nobody', new Set(['postgres'])), []);
});

test('a service stays reachable while any session offers it, candidates keep their order', () => {
  const directory = directoryWith('b', 'a', 'c');
  directory.offer('c', new Set(['postgres']));
  assert.deepEqual(directory.offer('a', new Set(['postgres'])), []);
  directory.offer('b', new Set(['postgres']));
  const ids = () =>
    directory.sessionsFor('gray', 'postgres').map((candidate) => candidate.sessionId);
  assert.deepEqual(ids(), ['b', 'a', 'c']);
  assert.deepEqual(directory.removeSession('b'), []);
  assert.deepEqual(ids(), ['a', 'c']);
  directory.removeSession('a');
  assert.deepEqual(directory.removeSession('c'), [
    { site: 'gray', service: 'postgres', reachable: false },
  ]);
});

test('a session added again starts without offers', () => {
  const directory = directoryWith('a');
  directory.offer('a', new Set(['postgres']));
  assert.deepEqual(directory.addSession({ sessionId: 'a', site: 'red', node: 'red1' }), [
    { site: 'gray', service: 'postgres', reachable: false },
  ]);
  assert.deepEqual([...directory.offersOf('a')], []);
});

test('what is not watched is known and makes no changes; watched later, it does', () => {
  const directory = directoryWith('b', 'a');
  assert.deepEqual(directory.offer('a', new Set(['redis', 'mysql'])), [
    { site: 'gray', service: 'redis', reachable: true },
  ]);
  assert.deepEqual(directory.offer('b', new Set(['mysql'])), []);
  const ids = () => directory.sessionsFor('gray', 'mysql').map(({ sessionId }) => sessionId);
  assert.deepEqual(ids(), ['b', 'a']);
  directory.watch('gray', 'mysql');
  assert.deepEqual(ids(), ['b', 'a']);
  assert.deepEqual(directory.offer('a', new Set(['redis'])), []);
  const gone = [{ site: 'gray', service: 'mysql', reachable: false }];
  assert.deepEqual(directory.removeSession('b'), gone);
  directory.unwatch('gray', 'mysql');
  assert.deepEqual(directory.offer('a', new Set(['redis', 'mysql'])), []);
  assert.deepEqual(ids(), ['a']);
});

test('a list costs what the watched services do, however many names it has', () => {
  const directory = directoryWith('a');
  const looked = { names: 0 };
  class Counted extends Set<string> {
    override [Symbol.iterator](): SetIterator<string> {
      looked.names += this.size;
      return super[Symbol.iterator]();
    }

    override has(name: string): boolean {
      looked.names += 1;
      return super.has(name);
    }
  }
  const names = Array.from({ length: 30_000 }, (_, n) => `n${n}`);
  const [first, second] = [new Counted([...names, 'redis']), new Counted([...names, 'postgres'])];
  assert.equal(directory.offer('a', first).length, 1);
  assert.equal(directory.offer('a', second).length, 2);
  assert.equal(directory.removeSession('a').length, 1);
  assert.ok(looked.names < 20, `${looked.names} names were looked at`);
});
