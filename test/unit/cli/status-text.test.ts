import assert from 'node:assert/strict';
import { test } from 'node:test';
import { statusText } from '../../../packages/routy/src/cli/text/status-text.ts';
import type { NodeStatus } from '../../../packages/routy/src/status/status.ts';
import { exampleStatus } from '../../support/nodes/example-status.ts';

const now = Date.parse('2026-01-01T01:00:00.000Z');
const shown = (over: Partial<NodeStatus> = {}): string =>
  statusText({ ...exampleStatus(), ...over }, now);

test('who, since when, until when', () => {
  const text = shown();
  assert.match(text, /red\/red1 of fab-1/);
  assert.match(text, /running for 1 h/);
  assert.match(text, /until 2027-01-01 \(364 d 23 h left\)/);
  assert.match(text, /no: this node only dials/);
});

test('a peer that is up shows evidence', () => {
  const text = shown();
  assert.match(
    text,
    /gray\/gray1 +up +for 59 min 59 s +rtt 1\.50 ms, last heard 420\.0 ms ago, clock -250\.0 ms, 2 lanes, 2 streams/,
  );
  assert.match(text, /dialled 192\.0\.2\.1:7443, TLSv1\.3 \S+; offers postgres/);
});

test('of very many services the first are shown, and those that the peer is not told of', () => {
  const [peer] = exampleStatus().peers;
  const many = { offers: ['a', 'b'], offersCount: 1_234, offersLeftOut: 7 };
  const text = shown({ peers: [{ ...peer!, session: { ...peer!.session!, ...many } }] });
  assert.match(text, /; offers a, b and 1232 more\n/);
  assert.match(text, /NOT TOLD of 7 services it may open: a list has no room for more/);
  const none = { offers: [], offersCount: 0 };
  const nothing = shown({ peers: [{ ...peer!, session: { ...peer!.session!, ...none } }] });
  assert.match(nothing, /offers nothing to this node/);
});

test('a suspended peer shows its session, and why no lane carries it', () => {
  const [peer] = exampleStatus().peers;
  const session = { ...peer!.session!, state: 'suspended' as const, lanes: [] };
  const suspended = { state: 'suspended', reason: 'nothing arrived for 15 s', session } as const;
  const text = shown({ peers: [{ ...peer!, ...suspended }] });
  assert.match(text, /gray\/gray1 +suspended +for 59 min 59 s .*0 lanes, 2 streams/);
  assert.match(text, /why: nothing arrived for 15 s/);
});

test('the data plane is named, and why it is not the one that is configured', () => {
  const line = (dataPlane: NodeStatus['dataPlane']) =>
    /^data plane +(.*)$/m.exec(shown({ dataPlane }))?.[1];
  const [configured, inUse, reason] = ['native', 'native', null] as const;
  assert.equal(
    line({ configured: 'auto', inUse: 'portable', reason }),
    'portable (configured: auto)',
  );
  assert.equal(line({ configured, inUse, reason }), 'native (configured: native)');
  assert.equal(
    line({ configured, inUse: 'portable', reason: 'koffi is not installed' }),
    'portable, NOT native as configured: koffi is not installed',
  );
});

test('a peer that is not up says why and what to do', () => {
  const text = shown();
  assert.match(text, /blue\.example:7443 +backoff .*3 failed attempts, next in 4 s/);
  assert.match(text, /why: blue\.example:7443: connection refused/);
  assert.match(text, /hint: start routy there/);
});

test('services and forwards show their last result', () => {
  const text = shown();
  assert.match(text, /postgres {2}127\.0\.0\.1:5432 {2}allows gray {2}2 open, 7 opened, 0 refused/);
  assert.match(text, /last: ok 59 min 51 s ago: connected \(gray\/gray1\)/);
  assert.match(text, /last: FAILED 59 min 52 s ago: target-refused/);
  assert.match(text, /unavailable .*\n +why: no session with a node of blue\n +last: not used yet/);
});

test('what is wrong stands out', () => {
  assert.match(
    shown({ listening: { address: '0.0.0.0:7443', error: 'EADDRINUSE' } }),
    /0\.0\.0\.0:7443 FAILED: EADDRINUSE/,
  );
  assert.match(shown({ certificateExpiresAt: '2025-12-31T00:00:00.000Z' }), /EXPIRED on 2025/);
  const [service] = exampleStatus().services;
  assert.match(shown({ services: [{ ...service!, allow: [] }] }), /allows NOBODY/);
  const [peer] = exampleStatus().peers;
  const session = { ...peer!.session!, clockOffsetMs: 9_000 };
  assert.match(shown({ peers: [{ ...peer!, session }] }), /clock \+9\.0 s \(CLOCKS DIFFER\)/);
});

test('a node with nothing says how to add something', () => {
  const text = shown({ peers: [], services: [], forwards: [] });
  assert.match(text, /Peers \(0\)\n {2}none: nobody to dial/);
  assert.match(text, /routy service add/);
  assert.match(text, /routy forward add/);
  const listening = { address: '0.0.0.0:7443', error: null };
  assert.match(shown({ peers: [], listening }), /no node has dialled this one yet/);
});

test('what keeps a node from being ready, troubles and needed restarts are at the top', () => {
  const text = shown({
    ready: false,
    notReady: ['none of its peers is up'],
    troubles: [
      {
        what: 'metrics',
        since: '2026-01-01T00:59:00.000Z',
        reason: 'it is taken',
        hint: 'free it',
      },
    ],
    restartRequired: ['fabric.heartbeat_interval'],
  });
  assert.match(text, /^state +running for 1 h, NOT READY: none of its peers is up$/m);
  assert.match(text, /^TROUBLE +metrics for 1 min: it is taken; free it$/m);
  assert.match(text, /^RESTART +changed in the file, not in force: fabric\.heartbeat_interval$/m);
});
