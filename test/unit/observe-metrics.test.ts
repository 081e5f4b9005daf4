import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createMetrics } from '../../src/observe/metrics.ts';
import { exampleStatus } from '../support/example-status.ts';

test('figures are read from the status when asked for', async () => {
  const metrics = createMetrics();
  let status = exampleStatus();
  metrics.bind(() => status);
  const first = await metrics.text();
  assert.match(first, /^routy_sessions\{state="up"\} 1$/m);
  assert.match(first, /^routy_sessions\{state="backoff"\} 1$/m);
  assert.match(first, /^routy_lanes 1$/m);
  assert.match(first, /^routy_session_rtt_seconds\{peer="gray\/gray1"\} 0\.0015$/m);
  assert.match(first, /^routy_clock_offset_seconds\{peer="gray\/gray1"\} -0\.25$/m);
  assert.match(first, /^routy_streams_open\{kind="service",name="postgres"\} 2$/m);
  assert.match(first, /^routy_streams_total\{kind="service",name="postgres"\} 7$/m);
  assert.match(first, /^routy_stream_bytes_total\{direction="sent",peer="gray\/gray1"\} 1000$/m);
  assert.match(first, /^routy_buffer_bytes 4096$/m);
  assert.match(first, /^process_resident_memory_bytes \d/m);

  status = { ...status, peers: [], services: [] };
  const second = await metrics.text();
  assert.match(second, /^routy_sessions\{state="up"\} 0$/m);
  assert.doesNotMatch(second, /gray1/);
  assert.doesNotMatch(second, /routy_streams_open\{kind="service"/);
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
  metrics.listenerRestart('127.0.0.1:6432');
  const text = await metrics.text();
  assert.match(text, /^routy_dial_attempts_total\{outcome="established"\} 1$/m);
  assert.match(text, /^routy_refusals_total\{reason="not-allowed"\} 2$/m);
  assert.match(text, /^routy_listener_restarts_total\{listener="127\.0\.0\.1:6432"\} 1$/m);
});

test('two nodes in one process do not share figures', async () => {
  const one = createMetrics();
  const two = createMetrics();
  one.refusal('overload');
  assert.doesNotMatch(await two.text(), /overload/);
});
