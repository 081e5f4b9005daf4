import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SessionDriverApi } from '../../../packages/link/src/driver/driver-types.ts';
import {
  type LiveSession,
  LiveSessions,
} from '../../../packages/routy/src/sessions/live-sessions.ts';

function live(
  node: string,
  suspended = false,
  silent = suspended,
): LiveSession & { driver: { suspended: boolean } } {
  const peer = { fabric: 'f', site: 'gray', node };
  return {
    driver: {
      peer,
      sessionId: node,
      suspended,
      silent,
      stats: () => ({ bytesSent: 5, bytesReceived: 7, bytesReplayed: 1 }),
    } as unknown as SessionDriverApi,
    peer,
    name: `gray/${node}`,
    establishedAtMs: 0,
    remoteAddress: '',
    security: '',
    sinceMs: 0,
    offersLeftOut: 0,
    trouble: undefined,
  };
}

test('sessions that wait for a lane are the last to be asked, but are asked', () => {
  const sessions = new LiveSessions(() => undefined);
  const all = [live('gray1', true), live('gray2'), live('gray3', true), live('gray4')];
  for (const session of all) {
    sessions.add(session);
    sessions.offered(session, new Set(['db']));
  }
  const names = () => sessions.candidates('gray', 'db').map(({ name }) => name);
  assert.deepEqual(names(), ['gray/gray2', 'gray/gray4', 'gray/gray1', 'gray/gray3']);
  sessions.remove(all[1]!);
  sessions.draining(all[3]!);
  assert.deepEqual(names(), ['gray/gray1', 'gray/gray3']);
});

test('a node that is silent is asked after those that are heard, before those without a lane', () => {
  const sessions = new LiveSessions(() => undefined);
  for (const session of [live('gray1', true), live('gray2', false, true), live('gray3')]) {
    sessions.add(session);
    sessions.offered(session, new Set(['db']));
  }
  const names = sessions.candidates('gray', 'db').map(({ name }) => name);
  assert.deepEqual(names, ['gray/gray3', 'gray/gray2', 'gray/gray1']);
});

test('only a service that becomes reachable, or ceases to be, is told', () => {
  const told: string[] = [];
  const sessions = new LiveSessions((changes) => {
    for (const { service, reachable } of changes) told.push(`${service} ${reachable}`);
  });
  for (const service of ['db', 'cache']) sessions.watch('gray', service);
  const [first, second] = [live('gray1'), live('gray2')] as const;
  sessions.add(first);
  assert.deepEqual(told, []);
  sessions.offered(first, new Set(['db', 'cache', 'other']));
  assert.deepEqual(told.splice(0), ['db true', 'cache true']);
  assert.equal(sessions.isReachable('gray', 'db'), true);
  sessions.add(second);
  sessions.offered(second, new Set(['db']));
  sessions.draining(first);
  sessions.remove(first);
  assert.deepEqual(told.splice(0), ['cache false']);
  sessions.remove(second);
  sessions.remove(second);
  assert.deepEqual(told, ['db false']);
});

test('a session with the id of another one takes nothing from it', () => {
  const sessions = new LiveSessions(() => undefined);
  const [first, second] = [live('gray1'), live('gray1')] as const;
  sessions.add(first);
  sessions.offered(first, new Set(['db']));
  sessions.add(second);
  sessions.offered(second, new Set());
  sessions.remove(second);
  assert.deepEqual(sessions.candidates('gray', 'db'), [first]);
});

test('what was exchanged with a peer only grows when one of its sessions ends', () => {
  const sessions = new LiveSessions(() => undefined);
  const first = live('gray1');
  const second = live('gray1');
  Object.assign(second.driver, { sessionId: 'another' });
  sessions.add(first);
  sessions.add(second);
  const both = [{ peer: 'gray/gray1', bytesSent: 10, bytesReceived: 14, bytesReplayed: 2 }];
  assert.deepEqual(sessions.traffic(), both);
  sessions.remove(first);
  sessions.remove(first);
  assert.deepEqual(sessions.traffic(), both);
  sessions.remove(second);
  assert.deepEqual(sessions.traffic(), both);
});
