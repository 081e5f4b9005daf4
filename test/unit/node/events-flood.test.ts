import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SessionEnd } from '../../../packages/link/src/driver/driver-types.ts';
import { RoutyError } from '../../../packages/proto/src/base/errors.ts';
import { NodeEvents } from '../../../packages/routy/src/events/node-events.ts';
import type { Forward } from '../../../packages/routy/src/forwards/forward.ts';
import { createLog, type Log } from '../../../packages/routy/src/observe/log.ts';
import { createMetrics } from '../../../packages/routy/src/observe/metrics.ts';
import type { LiveSession } from '../../../packages/routy/src/sessions/live-sessions.ts';

interface Line {
  readonly event: string;
  readonly msg: string;
  readonly peer?: string;
  readonly repeated?: number;
  readonly unwritten?: number;
  readonly last?: string;
}

/** What a minute of such events writes, with what is told at its end. */
function minute(use: (events: NodeEvents, log: Log) => void): { lines: Line[]; raw: string[] } {
  const raw: string[] = [];
  const log = createLog({ level: 'info', format: 'json', stream: { write: (s) => raw.push(s) } });
  use(new NodeEvents(log, createMetrics()), log);
  log.close();
  return { lines: raw.map((line) => JSON.parse(line) as Line), raw };
}

function sessionWith(name: string, sessionId: string): LiveSession {
  const stats = () => ({ rttMs: undefined, streams: 0, bytesReplayed: 0 });
  const driver = { sessionId, stats };
  return { name, driver, remoteAddress: '192.0.2.1:1', security: '' } as unknown as LiveSession;
}

const COUNT = 5000;

test('strangers with an address and a text each are counted together', () => {
  const { lines } = minute((events) => {
    for (let index = 0; index < COUNT; index++) {
      const remoteAddress = `10.${index >> 8}.${index & 255}.1:${index}`;
      const reason = `self-signed certificate of node-${index}`;
      events.laneRefused({ remoteAddress, code: 'not-trusted', reason });
      const remote = `[2001:db8::${index.toString(16)}]:${index}`;
      const refusal = {
        code: 'bad-request',
        reason: `announced ${index} bytes`,
        by: 'us',
      } as const;
      events.enrolment({ kind: 'refused', remote, ...refusal });
    }
  });
  assert.deepEqual(
    lines.map(({ event, repeated }) => [event, repeated]),
    [
      ['lane-refused', undefined],
      ['enrolment-refused', undefined],
      ['lane-refused', COUNT - 1],
      ['enrolment-refused', COUNT - 1],
    ],
  );
  assert.ok(Date.parse(lines[2]!.last!) > 0, 'it says when last');
});

test('a peer that invents services makes one line, one for each service that there is', () => {
  const { lines } = minute((events) => {
    const refusal = { peer: 'red/red1', code: 'unknown-service', reason: 'no such' } as const;
    for (let index = 0; index < COUNT; index++) {
      events.streamRefused({ ...refusal, service: `invented-${index}`, isOurs: false });
    }
    for (const service of ['db', 'cache', 'db']) {
      events.streamRefused({ ...refusal, code: 'not-allowed', service, isOurs: true });
    }
  });
  assert.equal(lines.length, 5);
});

test('offers that are toggled, and new instances all the time, are counted', () => {
  const { lines } = minute((events) => {
    for (let index = 0; index < COUNT; index++) {
      const state = index % 2 === 0 ? 'listening' : 'unavailable';
      const status = () => ({ listen: '127.0.0.1:1', to: 'red/db', state, reason: null });
      events.forwardState({ status } as unknown as Forward);
      const session = sessionWith('red/red1', String(index));
      events.sessionUp(session, 'accepted');
      events.sessionDown(
        session,
        { code: 'taken-over', reason: 'x', remote: false } as SessionEnd,
        1,
      );
    }
  });
  assert.ok(lines.length <= 4 * 11, `${lines.length} lines`);
  const told = lines.reduce(
    (sum, { repeated, unwritten }) => sum + (repeated ?? unwritten ?? 1),
    0,
  );
  assert.equal(told, 3 * COUNT, 'each is written or counted');
});

test('whatever peers and strangers do, there are less than 100 lines a minute', () => {
  const { lines, raw } = minute((events) => {
    for (let index = 0; index < COUNT; index++) {
      const name = `red/red${index}`;
      const session = sessionWith(name, String(index));
      const reason = 'x'.repeat(20_000);
      const [code, remote] = ['protocol-error', true] as const;
      events.sessionUp(session, 'accepted');
      events.sessionDown(session, { code, reason, remote } as SessionEnd, 1);
      events.laneRefused({ peer: name, remoteAddress: '10.0.0.1:1', code: `${index}`, reason });
      events.streamRefused({ peer: name, service: 'db', isOurs: true, code: 'overload', reason });
      events.streamMismatch(name, index, reason);
      events.enrolment({
        kind: 'enrolled',
        remote: '',
        fabric: 'f',
        site: 'red',
        node: name,
        serial: '',
      });
      const missing = { peer: name, session: 'none', hint: null, attempts: 1, delayMs: 1 } as const;
      events.dialFailed({ ...missing, addresses: `${index}:1`, code, reason });
    }
  });
  assert.ok(lines.length < 100, `${lines.length} lines`);
  for (const line of raw) assert.ok(Buffer.byteLength(line) <= 4096, `${line.length} bytes`);
  const seen = new Set(lines.map(({ event }) => event));
  assert.equal(seen.size, 7, 'no kind hides another one');
  const told = lines.reduce(
    (sum, { repeated, unwritten }) => sum + (repeated ?? unwritten ?? 1),
    0,
  );
  assert.equal(told, 7 * COUNT);
});

test('a text of a peer cannot break a line, nor turn or hide what stands beside it', () => {
  const evil = 'a\u202eb\u2066c\u200fd\u061ce\u2028f\u0085g\nh\u001b[31mi';
  const { raw, lines } = minute((events) => {
    events.streamMismatch('red/red1', 1, evil);
    events.lanesError('0.0.0.0:1', new RoutyError('x', evil));
  });
  for (const line of raw) assert.doesNotMatch(line.trimEnd(), /[\p{Cc}\p{Zl}\p{Zp}\p{Cf}]/u);
  assert.ok(
    lines[0]!.msg.includes(
      'a\\u{202e}b\\u{2066}c\\u{200f}d\\u{61c}e\\u{2028}f\\u{85}g\\u{a}h\\u{1b}[31mi',
    ),
    lines[0]!.msg,
  );
});

test('a peer that was removed says nothing any more', () => {
  const { lines } = minute((events) => {
    const failure = { session: 'none', hint: null, attempts: 1, delayMs: 1 } as const;
    for (const addresses of ['gone:1', 'kept:1']) {
      const reason = 'refused';
      for (let time = 0; time < 3; time++) {
        events.dialFailed({ ...failure, peer: null, addresses, code: 'refused', reason });
        const peer = addresses === 'gone:1' ? 'red/gone' : 'red/kept';
        events.streamMismatch(peer, 1, reason);
      }
    }
    events.peerRemoved('gone:1', 'red/gone');
  });
  const later = lines.filter(({ repeated }) => repeated !== undefined);
  assert.equal(later.length, 2);
  assert.doesNotMatch(JSON.stringify(later), /gone/);
});
