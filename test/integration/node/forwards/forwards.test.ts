import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SessionDriverApi } from '../../../../packages/link/src/driver/driver-types.ts';
import type { ForwardConfig } from '../../../../packages/routy/src/config/types.ts';
import { Forwards } from '../../../../packages/routy/src/forwards/forwards.ts';
import {
  type LiveSession,
  LiveSessions,
} from '../../../../packages/routy/src/sessions/live-sessions.ts';
import { until } from '../../../support/sockets/loopback.ts';

const FORWARDS = 60;
const SESSIONS = 40;

function forwardTo(service: string): ForwardConfig {
  return {
    listen: { kind: 'tcp', host: '127.0.0.1', port: 0 },
    to: { site: 'gray', service },
    unavailable: { kind: 'refuse' },
    connectTimeoutMs: 60_000,
    keepaliveMs: 0,
    clients: undefined,
    socket: { owner: undefined, group: undefined, mode: undefined },
  };
}

/** Forwards over live sessions, with a count of what is looked at. */
function rig() {
  const looked = { atForwards: 0, atSessions: 0 };
  const live = new LiveSessions((changes) => forwards.update(changes));
  const forwards = new Forwards([], {
    candidates: (site, service) => live.candidates(site, service),
    isReachable: (site, service) => {
      looked.atForwards += 1;
      return live.isReachable(site, service);
    },
    watch: (site, service) => live.watch(site, service),
    unwatch: (site, service) => live.unwatch(site, service),
    whyUnreachable: (site, service) => live.whyUnreachable(site, service),
    nowMs: () => 0,
    retryDelayMs: () => 10,
    onState: () => undefined,
    onAcceptError: () => undefined,
    onRefused: () => undefined,
    onOpened: () => undefined,
  });
  const session = (index: number): LiveSession => {
    const peer = { fabric: 'f', site: 'gray', node: `gray${index}` };
    const driver = {
      peer,
      sessionId: String(index),
      stats: () => ({}),
      get suspended() {
        looked.atSessions += 1;
        return false;
      },
    } as unknown as SessionDriverApi;
    const name = `gray/gray${index}`;
    const times = { establishedAtMs: 0, sinceMs: 0, offersLeftOut: 0 };
    return { driver, peer, name, ...times, remoteAddress: '', security: '', trouble: undefined };
  };
  return { looked, live, forwards, session };
}

test('forwards are looked at when their service comes or goes, not at every session', async (t) => {
  const { looked, live, forwards, session } = rig();
  const services = Array.from({ length: FORWARDS }, (_, index) => `db${index}`);
  for (const [index, service] of services.entries()) {
    // A port of its own for each, but port 0: the key of a forward is its address.
    const listen = { kind: 'tcp', host: `127.0.0.${index + 1}`, port: 0 } as const;
    forwards.put({ ...forwardTo(service), listen });
  }
  forwards.start();
  t.after(() => forwards.stop());
  looked.atForwards = 0;
  const sessions = Array.from({ length: SESSIONS }, (_, index) => session(index));
  for (const each of sessions) {
    live.add(each);
    live.offered(each, new Set(services));
  }
  assert.equal(looked.atForwards, FORWARDS);
  await until('all listen', () =>
    forwards.all().every((forward) => forward.status().state === 'listening'),
  );
  for (const each of sessions) live.remove(each);
  assert.equal(looked.atForwards, 2 * FORWARDS);
  assert.equal(looked.atSessions, 0);
  assert.equal(
    forwards.all().every((forward) => forward.status().state === 'unavailable'),
    true,
  );
});

test('a forward that a reload leads elsewhere, or takes away, follows its new service', async (t) => {
  const { live, forwards, session } = rig();
  forwards.put(forwardTo('db'));
  forwards.start();
  t.after(() => forwards.stop());
  const [forward] = forwards.all();
  const gray1 = session(1);
  live.add(gray1);
  live.offered(gray1, new Set(['cache']));
  assert.equal(forward!.status().state, 'unavailable');
  forwards.put(forwardTo('cache'));
  await until('it listens', () => forward!.status().state === 'listening');
  live.offered(gray1, new Set(['db']));
  assert.equal(forward!.status().state, 'unavailable');
  live.offered(gray1, new Set(['db', 'cache']));
  await until('it listens again', () => forward!.status().state === 'listening');
  forwards.remove(forwardTo('cache'));
  live.offered(gray1, new Set());
  assert.deepEqual(forwards.all(), []);
});
