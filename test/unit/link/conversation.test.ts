import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { test } from 'node:test';
import {
  type Behaviour,
  Conversation,
  ConversationError,
  type ConversationStatus,
} from '../../../packages/link/src/behaviours/index.ts';
import { StreamResetError } from '../../../packages/link/src/streams/index.ts';
import { LinkError } from '../../../packages/link/src/transport/index.ts';
import { NETWORK_CAP_MS } from '../../../packages/proto/src/base/index.ts';
import { MemoryChannel } from './memory-channel.ts';
import { until as untilNamed } from '../../support/lanes/lane-pair.ts';

const until = (condition: () => boolean) => untilNamed(String(condition), condition);

type Own = Behaviour<string, string, string>;

/** A conversation whose channels a test holds; back-off is as short as it can be. */
function rig(behaviour: Own, credit = Infinity, random01 = () => 0) {
  const controller = new AbortController();
  const channels: MemoryChannel[] = [];
  const failures: unknown[] = [];
  const conversation = new Conversation<string, string, string>({
    open: async () => {
      if (failures.length > 0) throw failures.shift();
      const channel = new MemoryChannel(credit);
      channels.push(channel);
      return channel;
    },
    behaviour,
    signal: controller.signal,
    random01,
  });
  return { conversation, channels, failures, stop: () => controller.abort() };
}

test('an open that fails is tried again, told why; each establishment is told', async () => {
  const heard: string[] = [];
  const states: ConversationStatus['state'][] = [];
  const own: Own = {
    init: () => void heard.push('init'),
    established: ({ establishment, failedAttempts }) =>
      void heard.push(`established ${establishment} after ${failedAttempts}`),
    retry: ({ code, cause }, { attempt }) =>
      void heard.push(`retry ${attempt}: ${code} ${(cause as Error).message}`),
    status: ({ state }) => void states.push(state),
  };
  const { conversation, channels, failures, stop } = rig(own);
  failures.push(new LinkError('dial-refused', 'no'), new Error('never'));
  await until(() => conversation.status.establishments === 1);
  channels[0]!.die(new Error('cut'));
  await until(() => conversation.status.establishments === 2);
  stop();
  assert.equal(await conversation.ended, undefined);
  assert.deepEqual(heard, [
    'init',
    'retry 1: conversation-open no',
    'retry 2: conversation-open never',
    'established 1 after 2',
    'retry 3: conversation-lost cut',
    'established 2 after 3',
  ]);
  assert.deepEqual(states.slice(0, 3), ['opening', 'backoff', 'opening']);
  assert.equal(states.at(-1), 'ended');
  assert.equal(conversation.status.retries, 3);
});

test('an establishment that lasted ends the series of failures, one that did not is one of them', async () => {
  const attempts: number[] = [];
  const own: Own = { retry: (_, { attempt }) => void attempts.push(attempt) };
  const { conversation, channels, failures, stop } = rig(own);
  failures.push(new LinkError('dial-refused', 'no'));
  for (const [index, lasts] of [false, true, false].entries()) {
    await until(() => conversation.status.establishments === index + 1);
    // As long as the longest wait after a failure of the network.
    if (lasts) await new Promise((resolve) => setTimeout(resolve, NETWORK_CAP_MS + 20));
    channels[index]!.die(new Error('cut'));
    await until(() => attempts.length === index + 2);
  }
  assert.deepEqual(attempts, [1, 2, 0, 1]);
  stop();
  await conversation.ended;
});

test('a channel that dies in the middle of a call fails it; a call waits for the next one', async () => {
  let answer: (text: string) => void = () => {};
  const { conversation, channels, stop } = rig({
    call: () =>
      new Promise((resolve) => {
        answer = resolve;
      }),
  });
  const first = conversation.call('a', 60_000);
  await until(() => conversation.status.state === 'established');
  channels[0]!.die(new Error('cut'));
  await assert.rejects(first, { code: 'conversation-lost' });
  const second = conversation.call('b', 60_000);
  await until(() => conversation.status.establishments === 2);
  await new Promise(setImmediate);
  answer('yes');
  assert.equal(await second, 'yes');
  stop();
  await conversation.ended;
  await assert.rejects(conversation.call('c', 60_000), { code: 'conversation-stopped' });
});

test('a call has a deadline, established or not, and fires its signal', async () => {
  let given: AbortSignal | undefined;
  const { conversation, stop } = rig({
    call: (_, { signal }) => {
      given = signal;
      return new Promise(() => {});
    },
  });
  await until(() => conversation.status.state === 'established');
  await assert.rejects(conversation.call('a', 5), { code: 'call-timeout' });
  assert.equal(given?.aborted, true);
  stop();
  await conversation.ended;
  const never = new AbortController();
  const dark = new Conversation<string, string, string>({
    open: () => new Promise(() => {}),
    behaviour: { call: String, cast: () => undefined },
    signal: never.signal,
  });
  await assert.rejects(dark.call('a', 5), { code: 'call-timeout' });
  assert.equal(dark.cast('x'), false);
  assert.equal(dark.status.drops, 1);
  never.abort();
  assert.equal(await dark.ended, undefined);
});

const boom = () => {
  throw new Error('boom');
};
const THROWING: Readonly<Record<string, Own>> = {
  init: { init: boom },
  established: { established: boom },
  message: { message: boom },
  call: { call: boom },
  cast: { cast: boom },
  next: { next: boom },
  retry: { retry: boom },
  status: { status: boom },
};

for (const [name, own] of Object.entries(THROWING)) {
  test(`what ${name} throws ends the conversation with a typed failure, counted once`, async () => {
    const { conversation, channels, failures } = rig(own);
    if (name === 'retry') failures.push(new Error('first'));
    const usual = ['message', 'call', 'cast'].includes(name);
    if (usual) await until(() => conversation.status.state === 'established');
    if (name === 'message') channels[0]!.deliver('x');
    if (name === 'cast') conversation.cast('x');
    if (name === 'call') {
      await assert.rejects(conversation.call('x', 60_000), { code: 'conversation-callback' });
    }
    const failure = await conversation.ended;
    assert.ok(failure instanceof ConversationError);
    assert.equal(failure.code, 'conversation-callback');
    assert.match(failure.message, new RegExp(`^${name}: .*boom`));
    assert.equal(conversation.status.lastFailure, failure);
    // The listener of states throws once more when it is told of the end.
    assert.equal(conversation.status.callbackErrors, name === 'status' ? 2 : 1);
    await until(() => channels.every((channel) => channel.isClosed));
  });
}

test('without credit the source waits and the sink goes on; credit lets it make one more', async () => {
  let made = 0;
  const heard: string[] = [];
  const own: Own = {
    next: async () => `m${made++}`,
    message: (message) => void heard.push(message),
  };
  const { conversation, channels, stop } = rig(own, 2);
  await until(() => channels[0]?.sent.length === 2);
  for (let i = 0; i < 5; i++) channels[0]!.deliver(`p${i}`);
  await until(() => heard.length === 5);
  assert.deepEqual(channels[0]!.sent, ['m0', 'm1']);
  // One is in the hand of `send`, which waits; none was made beyond it.
  assert.equal(made, 3);
  channels[0]!.grant(1);
  await until(() => made === 4);
  assert.deepEqual(channels[0]!.sent, ['m0', 'm1', 'm2']);
  stop();
  assert.equal(await conversation.ended, undefined);
});

test('a slow source does not hold up the sink, nor a slow sink the source', async () => {
  const heard: string[] = [];
  let made = 0;
  const slowSource = rig({
    next: () => new Promise(() => {}),
    message: (message) => void heard.push(message),
  });
  await until(() => slowSource.conversation.status.state === 'established');
  for (let i = 0; i < 100; i++) slowSource.channels[0]!.deliver(String(i));
  await until(() => heard.length === 100);
  const slowSink = rig({
    next: async () => (made++ < 100 ? 'x' : undefined),
    message: (_, { signal }) =>
      new Promise((resolve) => signal.addEventListener('abort', () => resolve())),
  });
  await until(() => slowSink.conversation.status.state === 'established');
  slowSink.channels[0]!.deliver('held');
  await until(() => slowSink.channels[0]!.sent.length === 100);
  // Both are stopped while one half waits.
  for (const { stop, conversation } of [slowSource, slowSink]) {
    stop();
    assert.equal(await conversation.ended, undefined);
    assert.equal(conversation.status.callbackErrors, 0);
  }
});

test('stopped in back-off it ends at once, without another attempt', async () => {
  let opened = 0;
  const controller = new AbortController();
  const conversation = new Conversation<string, string, string>({
    open: () => {
      opened++;
      throw new LinkError('peer-not-verified', 'no');
    },
    behaviour: {},
    signal: controller.signal,
    // The first retry goes within 100 ms, later ones wait for up to 10 s.
    random01: () => 0.999,
  });
  await until(() => conversation.status.state === 'backoff');
  controller.abort();
  assert.equal(await conversation.ended, undefined);
  const before = opened;
  await new Promise(setImmediate);
  assert.equal(opened, before);
});

test('a channel that comes after the stop is closed', async () => {
  const controller = new AbortController();
  const channel = new MemoryChannel(1);
  let come = () => {};
  const conversation = new Conversation<string, string, string>({
    open: () =>
      new Promise((resolve) => {
        come = () => resolve(channel);
      }),
    behaviour: {},
    signal: controller.signal,
  });
  await new Promise(setImmediate);
  controller.abort();
  await conversation.ended;
  come();
  await until(() => channel.isClosed);
});

test('a callback that is interrupted by a lost channel does not end the conversation', async () => {
  const { conversation, channels, stop } = rig(
    {
      message: (_, { send }) => send('answer'),
    },
    0,
  );
  await until(() => conversation.status.state === 'established');
  channels[0]!.deliver('question');
  await new Promise(setImmediate);
  channels[0]!.die(new Error('cut'));
  await until(() => conversation.status.establishments === 2);
  assert.equal(conversation.status.callbackErrors, 0);
  stop();
  assert.equal(await conversation.ended, undefined);
});

test('a peer that drains is asked again at one pace, and its refusals are no failures', async () => {
  const heard: unknown[] = [];
  const own: Own = {
    established: ({ failedAttempts }) => void heard.push(failedAttempts),
    retry: (_, { kind, attempt, delayMs }) => void heard.push([kind, attempt, delayMs]),
  };
  const { conversation, failures, stop } = rig(own);
  failures.push(
    new LinkError('dial-refused', 'down'),
    new StreamResetError('draining', 'it stops'),
    new StreamResetError('draining', 'it stops'),
    new StreamResetError('overload', 'too many'),
  );
  await until(() => conversation.status.establishments === 1);
  assert.deepEqual(heard, [
    ['network', 1, 0],
    ['draining', 1, 500],
    ['draining', 1, 500],
    ['shortage', 2, 0],
    2,
  ]);
  stop();
  await conversation.ended;
});

for (const [what, random01] of [
  [
    'throws',
    () => {
      throw new Error('no entropy');
    },
  ],
  ['gives no number', () => Number.NaN],
  ['gives 1', () => 1],
] as const) {
  test(`a source of jitter that ${what} ends the conversation with a typed failure`, async () => {
    const { conversation, failures } = rig({}, Infinity, random01);
    failures.push(new LinkError('dial-refused', 'no'));
    const failure = await conversation.ended;
    assert.equal(failure!.code, 'conversation-callback');
    assert.match(failure!.message, /no entropy|random01 gave/);
    assert.equal(conversation.status.callbackErrors, 1);
    assert.equal(conversation.status.state, 'ended');
  });
}

test('one that always has something to say, or to hear, leaves others their turns', async () => {
  for (const half of ['next', 'message'] as const) {
    let hasComeRound = false;
    let count = 0;
    setImmediate(() => {
      hasComeRound = true;
    });
    // So many take seconds.
    const goesOn = () => !hasComeRound && ++count < 2_000_000;
    const endless = (async function* () {
      while (goesOn()) yield 'x';
    })();
    const channel = {
      ...{ isOpen: true, closed: new Promise(() => undefined), close: () => undefined },
      send: async () => undefined,
      messages: half === 'message' ? endless : { [Symbol.asyncIterator]: () => NOTHING },
    };
    let hasEnded = false;
    const next = async () => {
      if (goesOn()) return 'x';
      hasEnded = true;
      return undefined;
    };
    const own: Own = half === 'next' ? { next } : { message: () => undefined };
    const stop = new AbortController();
    const { ended } = new Conversation({
      ...{ open: async () => channel, behaviour: own, signal: stop.signal },
    });
    if (half === 'next') await until(() => hasEnded);
    else await until(() => hasComeRound);
    assert.ok(count > 0 && count < 2_000_000, `${half}: ${count}`);
    stop.abort();
    await ended;
  }
});

const NOTHING = { next: () => new Promise<never>(() => undefined) };

test('a thousand conversations may have one signal, and one a thousand calls and sends', async (t) => {
  const warnings: string[] = [];
  const note = ({ message }: Error) => warnings.push(message);
  process.on('warning', note);
  t.after(() => process.off('warning', note));
  const controller = new AbortController();
  const { signal } = controller;
  let channel: MemoryChannel | undefined;
  const sends: Promise<unknown>[] = [];
  const never = () => new Promise<string>(() => undefined);
  const own: Own = {
    call: never,
    established: (_, { send }) => {
      for (let n = 0; n < 1000; n++) sends.push(send(`${n}`));
    },
  };
  const one = new Conversation<string, string, string>({
    open: async () => (channel ??= new MemoryChannel(1)),
    behaviour: own,
    signal,
  });
  const calls = Array.from({ length: 1000 }, () => one.call('x', 60_000));
  const others = Array.from(
    { length: 1000 },
    () =>
      new Conversation({
        open: () => new Promise<MemoryChannel>(() => undefined),
        behaviour: {},
        signal,
      }),
  );
  await until(() => one.status.state === 'established');
  const settled = Promise.allSettled([...calls, ...sends]);
  controller.abort();
  assert.equal((await settled).filter(({ status }) => status === 'rejected').length, 1999);
  for (const { ended } of [one, ...others]) assert.equal(await ended, undefined);
  assert.equal(getEventListeners(signal, 'abort').length, 0);
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(warnings, []);
});
