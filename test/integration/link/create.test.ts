import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { RoutyError } from '../../../packages/proto/src/base/index.ts';
import { createLink, type LinkStream } from '../../../packages/link/src/index.ts';
import type { StreamResetError } from '../../../packages/link/src/streams/index.ts';
import { testCa, testCredentials } from '../../support/certificates.ts';
import { LOOPBACK, until } from '../../support/lanes/lane-pair.ts';
import { ask, echo, identity, memoryLab, TEXT, textOf } from '../../support/link-lab.ts';

const TIMEOUT = { timeout: 120_000 };

test('TLS: a peer is dialled by its address, and either end opens streams', TIMEOUT, async () => {
  const ca = await testCa();
  const [redPapers, grayPapers] = await Promise.all([
    testCredentials(ca, { site: 'red' }),
    testCredentials(ca, { site: 'gray' }),
  ]);
  const red = createLink({ credentials: redPapers });
  const gray = createLink({ credentials: () => grayPapers });
  const { address } = await gray.listen({ transport: 'tls', address: LOOPBACK });
  for (const link of [red, gray]) link.protocol({ name: 'echo', accept: echo });

  const peer = red.dial({ transport: 'tls', address }, { lanes: 2 });
  assert.equal(peer.state, 'connecting');
  await peer.ready();
  assert.equal(peer.name, 'gray/gray1');
  assert.match(peer.security!, /^TLSv1\.3/);
  assert.equal(await ask(await peer.open({ protocol: 'echo' }), 'out'), 'out');

  const back = await gray.peer('red/red1');
  assert.equal(back.direction, 'accepted');
  assert.equal(await ask(await back.open({ protocol: 'echo' }), 'in'), 'in');
  await until('two lanes', () => peer.vitals?.lanes === 2);
  assert.ok((await peer.ping()).rttMs >= 0);

  const closed = once(back, 'closed');
  await red.close();
  await closed;
  assert.equal(peer.state, 'closed');
  await gray.close();
});

for (const transport of ['tcp', 'unix'] as const) {
  test(
    `${transport}: whoever connects is believed, and only where it was said`,
    TIMEOUT,
    async () => {
      const folder = await mkdtemp(join(tmpdir(), 'routy-link-'));
      const red = createLink({ identity: identity('red') });
      const gray = createLink({ identity: identity('gray') });
      const address =
        transport === 'tcp' ? LOOPBACK : ({ kind: 'unix', path: join(folder, 's') } as const);
      gray.protocol({ name: 'echo', accept: echo });
      const insecure = transport === 'tcp';
      if (insecure) {
        await assert.rejects(gray.listen({ transport, address }), { code: 'insecure-not-allowed' });
      }
      const listener = await gray.listen({ transport, address, insecure });
      const at = { transport, address: listener.address };
      if (insecure) {
        assert.throws(() => red.dial(at), { code: 'insecure-not-allowed' });
      }
      const peer = red.dial(at, { insecure });
      assert.equal(await ask(await peer.open({ protocol: 'echo' }), transport), transport);
      assert.equal(peer.security, `none (${transport})`);
      await Promise.all([red.close(), gray.close()]);
      await rm(folder, { recursive: true });
    },
  );
}

describe('protocols', TIMEOUT, () => {
  test('the acceptor picks, and both ends know before the first byte', async () => {
    const lab = await memoryLab();
    const taken: LinkStream[] = [];
    lab.gray.protocol({
      name: 'counter',
      versions: [1, 2, 3],
      capabilities: ['compact', 'sums'],
      class: 'realtime',
      accept: (stream) => void taken.push(stream),
    });
    const peer = lab.red.dial(lab.at);
    const stream = await peer.open({
      protocol: 'counter',
      versions: [2, 3, 4],
      capabilities: ['sums', 'other'],
      service: 'north',
    });
    const facts = { version: 3, capabilities: ['sums'], service: 'north', protocol: 'counter' };
    for (const end of [stream, taken[0]!]) {
      const { version, capabilities, service, protocol } = end;
      assert.deepEqual({ version, capabilities, service, protocol }, facts);
    }
    assert.equal(taken[0]!.class, 'realtime');
    assert.equal(taken[0]!.peer.site, 'red');
    await lab.close();
  });

  test('what cannot be agreed on is refused, with what both ends speak', async () => {
    const lab = await memoryLab();
    lab.gray.protocol({ name: 'counter', versions: [1, 2], accept: echo });
    const peer = lab.red.dial(lab.at);
    await assert.rejects(peer.open({ protocol: 'nothing' }), {
      code: 'unsupported-protocol',
      message: 'there is no protocol nothing',
    });
    await assert.rejects(
      peer.open({ protocol: 'counter', versions: [3, 4] }),
      (error: StreamResetError) => {
        assert.equal(error.code, 'unsupported-version');
        assert.equal(
          error.message,
          'counter was asked for in versions 3, 4, and is spoken in versions 1, 2',
        );
        assert.match(error.hint!, /speak a version of the other/);
        return true;
      },
    );
    await lab.close();
  });

  test('the last registration answers until its owner goes; one that comes back leaves no gap', async () => {
    const lab = await memoryLab();
    const peer = lab.red.dial(lab.at);
    const says = (text: string) => async (stream: LinkStream) => {
      const messages = textOf(stream);
      await messages.send(text);
      messages.end();
      for await (const _ of messages);
    };
    const asked = async () => ask(await peer.open({ protocol: 'who' }), '?');
    const [first, second] = [new AbortController(), new AbortController()];
    lab.gray.protocol({ name: 'who', accept: says('first') }, first);
    lab.gray.protocol({ name: 'who', accept: says('second') }, second);
    assert.equal(await asked(), 'second');
    second.abort();
    assert.equal(await asked(), 'first');
    first.abort();
    const waiting = asked();
    lab.gray.protocol({ name: 'who', accept: says('again') });
    assert.equal(await waiting, 'again');
    await lab.close();
  });

  test('an accept function that fails resets its stream and is told', async () => {
    const lab = await memoryLab();
    lab.gray.protocol({
      name: 'broken',
      accept: async () => {
        throw new Error('out of ink');
      },
    });
    const failed = once(lab.gray, 'acceptFailed');
    const stream = await lab.red.dial(lab.at).open({ protocol: 'broken' });
    await assert.rejects(textOf(stream).receive(), { code: 'internal', message: 'out of ink' });
    const [error, protocol] = await failed;
    assert.deepEqual([error.message, protocol], ['out of ink', 'broken']);
    await lab.close();
  });
});

describe('a kept peer', TIMEOUT, () => {
  test('goes on after a cut with what its streams carry, and says so', async () => {
    const lab = await memoryLab();
    const peer = lab.red.dial(lab.at);
    const messages = textOf(await peer.open({ protocol: 'echo' }));
    await messages.send('before');
    assert.deepEqual(await messages.receive(), { done: false, value: 'before' });
    const suspended = once(peer, 'suspended');
    const resumed = once(peer, 'resumed');
    lab.network.setDown(true);
    lab.network.cut();
    assert.match((await suspended)[0], /the last lane was lost/);
    assert.equal(peer.state, 'suspended');
    await messages.send('meanwhile');
    lab.network.setDown(false);
    await resumed;
    assert.deepEqual(await messages.receive(), { done: false, value: 'meanwhile' });
    await lab.close();
  });

  test('is dialled for as long as it takes, and says why it is not up', async () => {
    const lab = await memoryLab();
    lab.network.setDown(true);
    const peer = lab.red.dial(lab.at);
    const [failure, nextInMs] = await once(peer, 'attempt');
    assert.equal(failure.code, 'dial-unreachable');
    assert.ok(nextInMs >= 0);
    assert.equal(peer.lastFailure, failure);
    const opening = peer.open({ protocol: 'echo' });
    lab.network.setDown(false);
    assert.equal(await ask(await opening, 'late'), 'late');
    await lab.close();
  });

  test('is dialled anew when the other end has closed it', async () => {
    const lab = await memoryLab();
    const peer = lab.red.dial(lab.at);
    await peer.ready();
    const down = once(peer, 'down');
    const up = once(peer, 'up');
    (await lab.gray.peer('red/red1')).close('enough');
    const [reason] = await down;
    assert.equal(reason.code, 'normal');
    assert.match(reason.message, /enough/);
    await up;
    assert.equal(await ask(await peer.open({ protocol: 'echo' }), 'again'), 'again');
    await lab.close();
  });

  test('different times are refused at both ends by name', async () => {
    const lab = await memoryLab();
    const other = createLink({
      identity: identity('blue'),
      transports: { memory: lab.network.transport },
      times: { resumeTimeMs: 5_000 },
    });
    const refused = once(lab.gray, 'refused');
    const peer = other.dial(lab.at);
    const [failure] = await once(peer, 'attempt');
    assert.equal(failure.code, 'settings-mismatch');
    assert.match(failure.message, /resume_time: 5s here|resume_time: .*/);
    assert.match((await refused)[0].reason, /resume_time/);
    await other.close();
    await lab.close();
  });
});

describe('destinations', TIMEOUT, () => {
  test('a logical name is located at each attempt, and one that fails is that of the dial alone', async () => {
    const lab = await memoryLab();
    let asked = 0;
    lab.red.locate('cluster', (value) => {
      asked += 1;
      if (asked === 1) throw new Error(`no idea of ${value}`);
      return [lab.at];
    });
    const peer = lab.red.dial({ cluster: 'north' });
    const [failure] = await once(peer, 'attempt');
    assert.equal(failure.code, 'locate-failed');
    assert.equal(await ask(await peer.open({ protocol: 'echo' }), 'found'), 'found');
    assert.equal(lab.red.locators.counts().get('cluster')!.failed, 1);
    await lab.close();
  });

  test('a locator that is registered anew while it is dialled answers in its place', async () => {
    const lab = await memoryLab();
    const owner = new AbortController();
    let isAsked = false;
    lab.red.locate(
      'cluster',
      () => {
        isAsked = true;
        return new Promise(() => undefined);
      },
      owner,
    );
    const peer = lab.red.dial({ cluster: 'north' });
    await until('the first is asked', () => isAsked);
    owner.abort();
    lab.red.locate('cluster', () => [lab.at]);
    assert.equal(await ask(await peer.open({ protocol: 'echo' }), 'new'), 'new');
    await lab.close();
  });

  test('candidates race, and one that leads nowhere costs nothing', async () => {
    const lab = await memoryLab();
    const nowhere = { transport: 'memory', address: 'nowhere' };
    const unknown = { transport: 'pigeon', address: 'roof' };
    const peer = lab.red.dial([nowhere, unknown, lab.at]);
    assert.equal(await ask(await peer.open({ protocol: 'echo' }), 'raced'), 'raced');
    lab.red.locate('loft', () => [unknown]);
    const lost = lab.red.dial({ loft: 1 });
    const [failure] = await once(lost, 'attempt');
    assert.equal(failure.code, 'transport-unknown');
    assert.match(failure.hint, /known are tcp, unix, memory/);
    await lab.close();
  });

  test('a name that leads to another node is served by that at once; the former comes back', async () => {
    const lab = await memoryLab();
    const blue = createLink({
      identity: identity('blue'),
      transports: { memory: lab.network.transport },
    });
    const listening = await blue.listen({ transport: 'memory', address: 'blue' });
    let where = 'gray';
    lab.red.locate('cluster', () => [{ transport: 'memory', address: where }]);
    const peer = lab.red.dial({ cluster: 'any' });
    const messages = textOf(await peer.open({ protocol: 'echo' }));
    where = 'blue';
    const up = once(peer, 'up');
    lab.network.cut();
    await up;
    assert.equal(peer.name, 'blue/blue1');
    await messages.send('waits');
    where = 'gray';
    await listening.close();
    lab.network.cut();
    assert.deepEqual(await messages.receive(), { done: false, value: 'waits' });
    await blue.close();
    await lab.close();
  });
});

describe('signals and ends', TIMEOUT, () => {
  test('everything that waits ends with its signal', async () => {
    const lab = await memoryLab();
    lab.network.setDown(true);
    const abort = { code: 'dial-aborted' };
    const peer = lab.red.dial(lab.at);
    await assert.rejects(peer.ready({ signal: AbortSignal.abort() }), abort);
    const controller = new AbortController();
    const { signal } = controller;
    const waits = [
      peer.ready({ signal }),
      peer.open({ protocol: 'echo' }, { signal }),
      peer.ping({ signal }),
      lab.red.peer('gray/gray1', { signal }),
    ].map((each) => assert.rejects(each, abort));
    controller.abort();
    await Promise.all(waits);
    await assert.rejects(lab.gray.listen({ transport: 'memory', address: 'x' }, { signal }), abort);
    assert.equal(lab.red.dial(lab.at, { signal }).state, 'closed');
    await lab.close();
  });

  test('a ping that no lane carries ends with its signal', async () => {
    const lab = await memoryLab();
    const peer = await lab.red.dial(lab.at).ready();
    lab.network.setDown(true);
    lab.network.cut();
    await until('it is suspended', () => peer.state === 'suspended');
    const controller = new AbortController();
    const pinging = peer.ping(controller);
    await new Promise(setImmediate);
    controller.abort();
    await assert.rejects(pinging, { code: 'dial-aborted', message: /^ping was stopped/ });
    await lab.close();
  });

  test('an open that is given up is withdrawn at the peer', async () => {
    const lab = await memoryLab();
    const controller = new AbortController();
    const owner = new AbortController();
    // Its owner has just gone: opens wait for another.
    lab.gray.protocol({ name: 'late', accept: echo }, owner);
    owner.abort();
    const peer = lab.red.dial(lab.at);
    await peer.ready();
    const opening = peer.open({ protocol: 'late' }, controller);
    await until('the open', () => lab.gray.peers[0]!.stats!.streams === 1);
    controller.abort();
    // It would be accepted now.
    lab.gray.protocol({ name: 'late', accept: echo });
    await assert.rejects(opening, { code: 'dial-aborted' });
    await until('its end', () => lab.gray.peers[0]!.stats!.streams === 0);
    await lab.close();
  });

  test('a peer and a listener end with their signals', async () => {
    const lab = await memoryLab();
    const controller = new AbortController();
    const { signal } = controller;
    await lab.gray.listen({ transport: 'memory', address: 'second' }, { signal });
    const peer = lab.red.dial({ transport: 'memory', address: 'second' }, { signal });
    await peer.ready();
    const closed = once(peer, 'closed');
    controller.abort();
    await closed;
    await assert.rejects(peer.open({ protocol: 'echo' }), { code: 'peer-closed' });
    const again = lab.red.dial({ transport: 'memory', address: 'second' });
    assert.equal((await once(again, 'attempt'))[0].code, 'dial-refused');
    await lab.close();
  });

  test('drain waits for streams, refuses new ones, and close leaves nothing', async () => {
    const lab = await memoryLab();
    const peer = lab.red.dial(lab.at);
    const messages = textOf(await peer.open({ protocol: 'echo' }));
    const draining = lab.gray.drain();
    await until('the news', () => peer.isDraining);
    await assert.rejects(peer.open({ protocol: 'echo' }), { code: 'draining' });
    await assert.rejects(lab.gray.drain({ signal: AbortSignal.abort() }), { code: 'dial-aborted' });
    messages.end();
    assert.deepEqual(await messages.receive(), { done: true });
    await draining;
    const { gray, red } = lab;
    await lab.close();
    assert.deepEqual([gray.peers, red.peers], [[], []]);
    assert.throws(() => red.dial(lab.at), { code: 'link-closed' });
    await assert.rejects(red.listen(lab.at), { code: 'link-closed' });
    await assert.rejects(red.peer('gray/gray1'), { code: 'link-closed' });
  });

  test('close resets what is open, and hands its signal to lanes that hang', async () => {
    const lab = await memoryLab();
    const peer = lab.red.dial(lab.at);
    const messages = textOf(await peer.open({ protocol: 'echo' }));
    const reading = assert.rejects(messages.receive(), { code: 'session-lost' });
    for (const lanes of lab.network.lanes) lanes.stall();
    await lab.red.close({ signal: AbortSignal.abort() });
    await reading;
    await lab.gray.close({ signal: AbortSignal.abort() });
  });
});

test(
  'counts of a stream are in its class and its session, and none runs backwards',
  TIMEOUT,
  async () => {
    const lab = await memoryLab({ times: { heartbeatIntervalMs: 50 } });
    const peer = lab.red.dial(lab.at);
    assert.equal(
      await ask(await peer.open({ protocol: 'echo', class: 'fullsync' }), 'abcd'),
      'abcd',
    );
    const sums = () => {
      const { classes } = lab.red.statistics.snapshot();
      return Object.fromEntries(classes.map((each) => [`${each.kind} ${each.class}`, each]));
    };
    const { messagesSent, messagesReceived, bytesSent } = sums()['stream fullsync']!.counters;
    assert.deepEqual([messagesSent, messagesReceived, bytesSent], [1, 1, 8]);
    assert.equal(sums()['session session']!.counters.bytesSent, 8);
    await until('a round trip', () => sums()['session session']!.rttMs !== undefined);
    const vitals = peer.vitals!;
    assert.ok(Math.abs(vitals.clockOffsetMs!) < 1000);
    assert.equal(vitals.silent, false);
    await until('the drift', () => peer.vitals?.clockDriftPpm !== undefined);
    await lab.close();
    assert.equal(sums()['session session']!.counters.bytesSent, 8);
    assert.equal(sums()['stream fullsync']!.live, 0);
  },
);

test('a link needs to know who it is', () => {
  assert.throws(() => createLink({}), { code: 'credentials-invalid' });
  assert.throws(() => createLink({ identity: { fabric: 'F', site: 'a', node: 'b' } }), {
    code: 'credentials-invalid',
    message: 'routy://F/a/b is no identity',
  });
  assert.equal(TEXT.decode(TEXT.encode('é')), 'é');
});

test(
  'of two processes with one name the newer wins, and the other is told why',
  TIMEOUT,
  async () => {
    const lab = await memoryLab();
    const impostor = createLink({
      identity: identity('red'),
      transports: { memory: lab.network.transport },
    });
    const first = lab.red.dial(lab.at);
    await first.ready();
    const second = impostor.dial(lab.at);
    await second.ready();
    // Both claim: the newer process wins, as the protocol has it.
    await until('the first is displaced', () => first.lastFailure?.code === 'taken-over');
    assert.match(first.lastFailure!.hint!, /Another process runs with the identity of this one/);
    await impostor.close();
    await lab.close();
  },
);

test('who only claims a name takes nothing from who has proven it', TIMEOUT, async () => {
  const ca = await testCa('f');
  const [redPapers, grayPapers] = await Promise.all([
    testCredentials(ca, { site: 'red' }),
    testCredentials(ca, { site: 'gray' }),
  ]);
  const limits = { processBuffer: 2 * 1024 * 1024 };
  const gray = createLink({ credentials: grayPapers, limits });
  gray.protocol({ name: 'echo', accept: echo });
  gray.protocol({ name: 'hold', accept: () => undefined });
  const red = createLink({ credentials: redPapers });
  const impostor = createLink({ identity: identity('red') });
  const proven = await gray.listen({ transport: 'tls', address: LOOPBACK });
  const open = await gray.listen({ transport: 'tcp', address: LOOPBACK, insecure: true });
  const peer = red.dial({ transport: 'tls', address: proven.address });
  await peer.ready();
  const ends: string[] = [];
  peer.on('down', (reason) => ends.push(reason.code));
  const other = impostor.dial({ transport: 'tcp', address: open.address }, { insecure: true });
  await other.ready();
  await peer.ping();
  assert.deepEqual(
    gray.peers.map(({ name, isProven }) => [name, isProven]),
    [
      ['red/red1', true],
      ['red/red1', false],
    ],
  );
  assert.equal((await gray.peer('red/red1')).isProven, true);
  assert.deepEqual([peer.isProven, other.isProven], [true, false]);

  // Nor memory: all that one peer can have is taken in its name.
  const opened = await Promise.allSettled(
    Array.from({ length: 300 }, () => other.open({ protocol: 'hold' })),
  );
  const refused = opened.filter((each) => each.status === 'rejected');
  assert.ok(refused.length > 0);
  for (const { reason } of refused) assert.equal((reason as RoutyError).code, 'overload');
  assert.equal(await ask(await peer.open({ protocol: 'echo' }), 'room'), 'room');
  assert.deepEqual(ends, []);
  await Promise.all([red.close(), impostor.close(), gray.close()]);
});
