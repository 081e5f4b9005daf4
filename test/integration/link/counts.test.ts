import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import type { Link } from '../../../packages/link/src/link/link.ts';
import { until } from '../../support/lanes/lane-pair.ts';
import { memoryLab, TEXT } from '../../support/link-lab.ts';

const TIMEOUT = { timeout: 120_000 };

const countersOf = (link: Link, kind: string) =>
  link.statistics.snapshot().classes.find((sum) => sum.kind === kind)!.counters;

test('a session counts what it resumed, and the streams that it refused', TIMEOUT, async () => {
  const lab = await memoryLab({ limits: { streams: 2 } });
  lab.gray.protocol({ name: 'idle', accept: () => undefined });
  const peer = await lab.red.dial(lab.at).ready();
  for (let cuts = 1; cuts <= 2; cuts++) {
    const resumed = once(peer, 'resumed');
    lab.network.cut();
    await resumed;
    await until('it is counted at both ends', () =>
      [lab.red, lab.gray].every((link) => countersOf(link, 'session').retries === cuts),
    );
  }
  // Opened from both ends before either hears of the other: more than both take.
  const back = lab.gray.peers[0]!;
  lab.red.protocol({ name: 'idle', accept: () => undefined });
  const asked = [peer, peer, back, back].map((each) => each.open({ protocol: 'idle' }));
  const answers = await Promise.allSettled(asked);
  const refused = answers.filter(({ status }) => status === 'rejected').length;
  assert.ok(refused > 0);
  const drops = [lab.red, lab.gray].map((link) => countersOf(link, 'session').drops);
  assert.ok(drops[0]! + drops[1]! > 0, `${refused} refused, ${drops} counted`);
  await lab.close();
});

test('a conversation counts its retries, and what was cast to nobody', TIMEOUT, async () => {
  const lab = await memoryLab();
  const peer = await lab.red.dial(lab.at).ready();
  const owner = new AbortController();
  const conversation = lab.red.converse<string, string>(peer, {
    ...{
      protocol: 'late',
      codecs: { 1: TEXT },
      behaviour: { cast: () => undefined },
      signal: owner.signal,
    },
  });
  await until('it was refused', () => conversation.status.retries === 2);
  assert.equal(conversation.cast('to nobody'), false);
  const { retries, drops } = countersOf(lab.red, 'conversation');
  assert.deepEqual([retries >= 2, drops], [true, 1]);
  owner.abort();
  await conversation.ended;
  await lab.close();
});

test('who is not heard is silent, of a session and of a conversation', TIMEOUT, async () => {
  const lab = await memoryLab({ times: { heartbeatIntervalMs: 100, heartbeatMisses: 100 } });
  const peer = await lab.red.dial(lab.at).ready();
  const owner = new AbortController();
  const conversation = lab.red.converse<string>(peer, {
    ...{ protocol: 'echo', codecs: { 1: TEXT }, behaviour: {}, signal: owner.signal },
  });
  await until('it is established', () => conversation.status.state === 'established');
  const silent = () => [peer.vitals?.silent, conversation.vitals?.silent];
  assert.deepEqual(silent(), [false, false]);
  const [lane] = lab.network.lanes;
  lane!.stall('to-dialler');
  await until('it is silent', () => silent().every((each) => each === true));
  lane!.heal();
  await until('it is heard again', () => silent().every((each) => each === false));
  assert.ok(conversation.vitals!.rttMs! >= 0);
  owner.abort();
  await lab.close();
});
