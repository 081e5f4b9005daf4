import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Directory } from '../../src/fabric/directory.ts';

function directoryWith(...sessionIds: string[]): Directory {
  const directory = new Directory();
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
  assert.deepEqual(directory.offer('a', ['postgres', 'redis']), [
    { site: 'gray', service: 'postgres', reachable: true },
    { site: 'gray', service: 'redis', reachable: true },
  ]);
  assert.deepEqual(directory.sessionsFor('gray', 'postgres'), [
    { sessionId: 'a', peer: 'gray/node-a' },
  ]);
  assert.deepEqual(directory.sessionsFor('red', 'postgres'), []);
  assert.deepEqual(directory.offersOf('a'), ['postgres', 'redis']);
  assert.deepEqual(directory.offer('a', ['redis']), [
    { site: 'gray', service: 'postgres', reachable: false },
  ]);
});

test('the same offer again, or one of an unknown session, changes nothing', () => {
  const directory = directoryWith('a');
  directory.offer('a', ['postgres']);
  assert.deepEqual(directory.offer('a', ['postgres', 'postgres']), []);
  assert.deepEqual(directory.offer('nobody', ['postgres']), []);
});

test('a service stays reachable while any session offers it, candidates keep their order', () => {
  const directory = directoryWith('b', 'a', 'c');
  directory.offer('c', ['postgres']);
  assert.deepEqual(directory.offer('a', ['postgres']), []);
  directory.offer('b', ['postgres']);
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
  directory.offer('a', ['postgres']);
  assert.deepEqual(directory.addSession({ sessionId: 'a', site: 'red', node: 'red1' }), [
    { site: 'gray', service: 'postgres', reachable: false },
  ]);
  assert.deepEqual(directory.offersOf('a'), []);
});
