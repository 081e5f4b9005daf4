import assert from 'node:assert/strict';
import { test } from 'node:test';
import type {
  DriverHandlers,
  SessionDriverApi,
} from '../../../packages/link/src/driver/driver-types.ts';
import type { SessionCommons } from '../../../packages/link/src/driver/session-options.ts';
import type { Lane } from '../../../packages/link/src/transport/lane.ts';
import { NodeEvents } from '../../../packages/routy/src/events/node-events.ts';
import { createLog } from '../../../packages/routy/src/observe/log.ts';
import { createMetrics } from '../../../packages/routy/src/observe/metrics.ts';
import { SessionHost, type SessionOwner } from '../../../packages/routy/src/peers/session-host.ts';
import { Services } from '../../../packages/routy/src/services/services.ts';
import { LiveSessions } from '../../../packages/routy/src/sessions/live-sessions.ts';

const NOBODY = {
  onUp: () => undefined,
  onLaneUp: () => undefined,
  onDown: () => undefined,
} as unknown as SessionOwner;

/** A host whose sessions leave out so many names of a list, and the lines it logs. */
function rig() {
  const lines: { event: string; msg: string; peer: string }[] = [];
  const log = createLog({
    level: 'warn',
    format: 'json',
    stream: { write: (line: string) => lines.push(JSON.parse(line)) },
  });
  const list = { leftOut: 0 };
  const streams = new Map<string, number>();
  const closed: string[] = [];
  const made: DriverHandlers[] = [];
  const live = new LiveSessions(() => undefined);
  const host = new SessionHost({
    commons: {} as SessionCommons,
    live,
    services: new Services([], {
      nowMs: () => 0,
      onOpened: () => undefined,
      onRefused: () => undefined,
    }),
    events: new NodeEvents(log, createMetrics()),
    nowMs: () => 0,
    factory: (options, handlers) => {
      made.push(handlers);
      const { peer, sessionId } = options;
      const driver = {
        ...{ peer, sessionId },
        offer: () => list.leftOut,
        stats: () => ({ streams: streams.get(sessionId) ?? 0 }),
        drain: () => undefined,
        close: () => closed.push(sessionId),
      };
      return driver as unknown as SessionDriverApi;
    },
  });
  const establish = (node: string, sessionId: string): void => {
    host.accepted({ peer: { fabric: 'f', site: 'red', node } }, sessionId, NOBODY);
    made.at(-1)!.onEstablished({ remoteAddress: '192.0.2.1:1', security: '' } as Lane, []);
  };
  return { host, live, list, lines, log, establish, streams, closed };
}

test('a list that has no room for all services is said once for a session, and kept', () => {
  const { host, live, list, lines, log, establish } = rig();
  establish('red1', 'a');
  list.leftOut = 5;
  establish('red2', 'b');
  const all = new Set(['red']);
  for (let n = 0; n < 10; n++) host.offerAnew(all);
  assert.deepEqual(
    lines.map(({ event, peer }) => [event, peer]),
    [
      ['offers-cut', 'red/red2'],
      ['offers-cut', 'red/red1'],
    ],
  );
  assert.match(lines[0]!.msg, /^red\/red2 is not told of 5 of the 0 services it may open/);
  assert.deepEqual(
    live.all().map(({ offersLeftOut }) => offersLeftOut),
    [5, 5],
  );
  list.leftOut = 0;
  host.offerAnew(all);
  assert.deepEqual(
    live.all().map(({ offersLeftOut }) => offersLeftOut),
    [0, 0],
  );
  for (let n = 0; n < 1_000; n++) {
    list.leftOut = n % 2;
    host.offerAnew(all);
  }
  assert.equal(lines.length, 2, 'and what comes again is counted');
  log.close();
});

test('a session that was drained is begun anew when it is empty, unless another drain has come', (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const { host, establish, streams, closed } = rig();
  establish('red1', 'idle');
  establish('red2', 'busy');
  streams.set('busy', 1);
  host.drain();
  assert.equal(host.undrain(), 1);
  assert.deepEqual(closed, ['idle']);
  host.drain();
  streams.set('busy', 0);
  t.mock.timers.tick(60_000);
  assert.deepEqual(closed, ['idle']);
  host.undrain();
  assert.deepEqual(closed, ['idle', 'idle', 'busy']);
});

test('a session that was drained while it was busy is begun anew with its last stream', (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const { host, establish, streams, closed } = rig();
  establish('red1', 'busy');
  streams.set('busy', 1);
  host.drain();
  assert.equal(host.undrain(), 1);
  t.mock.timers.tick(60_000);
  assert.deepEqual(closed, []);
  streams.set('busy', 0);
  t.mock.timers.tick(1_000);
  assert.deepEqual(closed, ['busy']);
});
