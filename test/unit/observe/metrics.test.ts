import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createMetrics } from '../../../packages/routy/src/observe/metrics.ts';
import type { PeerStatus } from '../../../packages/routy/src/status/status.ts';
import { exampleStatus } from '../../support/nodes/example-status.ts';

test('figures are read from the status when asked for', async () => {
  const metrics = createMetrics();
  let status = exampleStatus();
  metrics.bind(() => status);
  const first = await metrics.text();
  assert.match(first, /^routy_sessions\{state="up"\} 1$/m);
  assert.match(first, /^routy_sessions\{state="backoff"\} 1$/m);
  assert.match(first, /^routy_sessions\{state="suspended"\} 0$/m);
  assert.match(first, /^routy_lanes\{peer="gray\/gray1"\} 2$/m);
  assert.match(first, /^routy_session_rtt_seconds\{peer="gray\/gray1"\} 0\.0015$/m);
  assert.match(first, /^routy_clock_offset_seconds\{peer="gray\/gray1"\} -0\.25$/m);
  assert.match(first, /^routy_streams_open\{kind="service",name="postgres"\} 2$/m);
  assert.match(first, /^routy_streams_total\{kind="service",name="postgres"\} 7$/m);
  assert.match(first, /^routy_stream_bytes_total\{direction="sent",peer="gray\/gray1"\} 1000$/m);
  assert.match(first, /^routy_buffer_bytes 4096$/m);
  assert.match(first, /^routy_replayed_bytes_total\{peer="gray\/gray1"\} 300$/m);
  assert.match(first, /^routy_session_replay_bytes\{peer="gray\/gray1"\} 4000$/m);
  assert.match(first, /^routy_stream_replay_bytes_max\{peer="gray\/gray1"\} 3000$/m);
  assert.match(first, /^routy_session_reassembly_bytes\{peer="gray\/gray1"\} 96$/m);
  assert.match(first, /^routy_stream_reassembly_bytes_max\{peer="gray\/gray1"\} 95$/m);
  assert.match(first, /^routy_held_bytes\{kind="replay"\} 4000$/m);
  assert.match(first, /^routy_held_bytes\{kind="reassembly"\} 96$/m);
  assert.match(first, /^routy_held_limit_bytes\{of="session"\} 33554432$/m);
  assert.match(first, /^process_resident_memory_bytes \d/m);

  status = { ...status, peers: [], traffic: [], services: [] };
  const second = await metrics.text();
  assert.match(second, /^routy_sessions\{state="up"\} 0$/m);
  assert.doesNotMatch(second, /gray1/);
  assert.doesNotMatch(second, /routy_streams_open\{kind="service"/);
});

test('two sessions with one node are both counted, and the newer one says how far it is', async () => {
  const metrics = createMetrics();
  const status = exampleStatus();
  const older = status.peers[0]!;
  const session = {
    ...older.session!,
    rttMs: 7,
    lanes: older.session!.lanes.slice(1),
    streamReplayBytesMax: 10,
  };
  const newer = { ...older, direction: 'accepted', since: '2026-01-01T00:00:05.000Z' } as const;
  const text = async (...peers: PeerStatus[]): Promise<string> => {
    metrics.bind(() => ({ ...status, peers }));
    return metrics.text();
  };
  for (const peers of [
    [older, { ...newer, session }],
    [{ ...newer, session }, older],
  ]) {
    const figures = await text(...peers);
    assert.match(figures, /^routy_lanes\{peer="gray\/gray1"\} 3$/m);
    assert.match(figures, /^routy_session_replay_bytes\{peer="gray\/gray1"\} 8000$/m);
    assert.match(figures, /^routy_stream_replay_bytes_max\{peer="gray\/gray1"\} 3000$/m);
    assert.match(figures, /^routy_session_rtt_seconds\{peer="gray\/gray1"\} 0\.007$/m);
  }
  const figures = await text(older, { ...newer, state: 'suspended', session });
  assert.match(figures, /^routy_session_rtt_seconds\{peer="gray\/gray1"\} 0\.0015$/m);
});

test('an answer takes one status, however many figures it has', async () => {
  const metrics = createMetrics();
  let made = 0;
  metrics.bind(() => {
    made += 1;
    return { ...exampleStatus(), startedAt: String(made) };
  });
  await Promise.all([metrics.text(), metrics.text()]);
  assert.equal(made, 2);
});

test('asking twice counts nothing twice', async () => {
  const metrics = createMetrics();
  metrics.bind(exampleStatus);
  await metrics.text();
  assert.match(await metrics.text(), /^routy_streams_total\{kind="service",name="postgres"\} 7$/m);
});

test('events are counted by reason', async () => {
  const metrics = createMetrics();
  metrics.dialAttempt('established');
  metrics.refusal('not-allowed');
  metrics.refusal('not-allowed');
  metrics.sessionResumed('gray/gray1');
  metrics.laneLost('heartbeat-timeout');
  metrics.listenerRestart('127.0.0.1:6432');
  const text = await metrics.text();
  assert.match(text, /^routy_dial_attempts_total\{outcome="established"\} 1$/m);
  assert.match(text, /^routy_refusals_total\{reason="not-allowed"\} 2$/m);
  assert.match(text, /^routy_session_resumes_total\{peer="gray\/gray1"\} 1$/m);
  assert.match(text, /^routy_lanes_lost_total\{code="heartbeat-timeout"\} 1$/m);
  assert.match(text, /^routy_listener_restarts_total\{listener="127\.0\.0\.1:6432"\} 1$/m);
});

test('a peer that is forgotten has no figures of its own any more', async () => {
  const metrics = createMetrics();
  metrics.sessionResumed('gray/gray1');
  metrics.sessionResumed('gray/gray2');
  metrics.forgetPeer('gray/gray1');
  const text = await metrics.text();
  assert.doesNotMatch(text, /gray\/gray1/);
  assert.match(text, /gray\/gray2/);
});

test('two nodes in one process do not share figures', async () => {
  const one = createMetrics();
  const two = createMetrics();
  one.refusal('overload');
  assert.doesNotMatch(await two.text(), /overload/);
});
