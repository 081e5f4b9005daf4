import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { LinkBehaviour, LinkStream, Peer } from '../../../../packages/link/src/index.ts';
import { until } from '../../../support/lanes/lane-pair.ts';
import { memoryLab, TEXT, textOf } from '../../../support/link-lab.ts';

const TIMEOUT = { timeout: 120_000 };

/** A replication queue: what was not acknowledged is sent again at the next establishment. */
class Queue implements LinkBehaviour<string, string> {
  readonly establishments: string[] = [];
  readonly failures: string[] = [];
  readonly #waiting: string[] = [];
  #sent = 0;
  #wake: () => void = () => undefined;

  get isEmpty(): boolean {
    return this.#waiting.length === 0;
  }

  add(text: string): void {
    this.#waiting.push(text);
    this.#wake();
  }

  established({ peer, stream }: { peer: { name?: string | undefined }; stream: LinkStream }): void {
    this.establishments.push(`${peer.name} ${stream.version}`);
    this.#sent = 0;
  }

  async next(signal: AbortSignal): Promise<string | undefined> {
    while (this.#sent >= this.#waiting.length) {
      await new Promise<void>((resolve, reject) => {
        this.#wake = resolve;
        signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
      });
    }
    return this.#waiting[this.#sent++];
  }

  message(acknowledged: string): void {
    if (this.#waiting[0] !== acknowledged) return;
    this.#waiting.shift();
    this.#sent -= 1;
  }

  cast(text: string): void {
    this.add(text);
  }

  retry(failure: { readonly message: string }): void {
    this.failures.push(failure.message);
  }
}

/** Takes texts and acknowledges each. */
const taking = (taken: Set<string>) => async (stream: LinkStream) => {
  const messages = textOf(stream);
  for await (const text of messages) {
    taken.add(text);
    await messages.send(text);
  }
  messages.end();
};

describe('a conversation', TIMEOUT, () => {
  test('outlives cuts, sessions and the owner at the other end, and loses nothing', async () => {
    const lab = await memoryLab({ times: { resumeTimeMs: 100 } });
    const taken = new Set<string>();
    const owner = new AbortController();
    lab.gray.protocol({ name: 'queue', accept: taking(taken) }, owner);
    const queue = new Queue();
    const stop = new AbortController();
    const conversation = lab.red.converse<string, string>(lab.at, {
      protocol: 'queue',
      class: 'realtime',
      codecs: { 1: TEXT },
      behaviour: queue,
      signal: stop.signal,
    });
    const add = (text: string) => {
      queue.add(text);
      return until(`${text} is acknowledged`, () => queue.isEmpty);
    };
    await add('a');
    lab.network.cut();
    await add('b');
    assert.equal(queue.establishments.length, 1, 'a cut that is mended is not told');

    lab.network.setDown(true);
    lab.network.cut();
    const added = add('c');
    await until('the session is given up', () => conversation.status.state !== 'established');
    lab.network.setDown(false);
    await added;
    assert.deepEqual(queue.establishments, ['gray/gray1 1', 'gray/gray1 1']);

    owner.abort();
    lab.gray.protocol({ name: 'queue', versions: [1, 2], accept: taking(taken) });
    lab.gray.peers[0]!.close('restart');
    await add('d');
    assert.deepEqual([...taken], ['a', 'b', 'c', 'd']);
    assert.ok(conversation.vitals!.lanes >= 1);
    assert.equal(conversation.status.establishments, 3);
    assert.ok(queue.failures.length >= 2);

    const { classes } = lab.red.statistics.snapshot();
    const { counters } = classes.find(({ kind }) => kind === 'conversation')!;
    assert.ok(counters.messagesSent >= 4 && counters.messagesReceived >= 4);
    assert.ok(counters.retries >= 2);
    stop.abort();
    assert.equal(await conversation.ended, undefined);
    await until('its peer goes with it', () => lab.red.peers.length === 0);
    assert.equal(conversation.cast('too late'), false);
    await lab.close();
  });

  test('with a peer that has dialled goes on in its next session; with one that is dialled until it is closed', async () => {
    const lab = await memoryLab();
    const taken = new Set<string>();
    lab.red.protocol({ name: 'queue', accept: taking(taken) });
    lab.gray.protocol({ name: 'queue', accept: taking(taken) });
    const speak = (whom: Peer, queue: Queue) =>
      (whom.direction === 'accepted' ? lab.gray : lab.red).converse<string, string>(whom, {
        ...{ protocol: 'queue', codecs: { 1: TEXT }, behaviour: queue },
      });
    const dialled = lab.red.dial(lab.at);
    const accepted = await lab.gray.peer('red/red1');
    const [back, out] = [new Queue(), new Queue()];
    const conversation = speak(accepted, back);
    speak(await dialled.ready(), out);
    back.add('back');
    out.add('out');
    await until('both are heard', () => taken.size === 2);

    const ended = speak(dialled, new Queue()).ended;
    dialled.close();
    await ended;
    assert.throws(() => speak(dialled, out), { code: 'peer-closed' });
    await until('its session has ended', () => accepted.state === 'closed');
    assert.throws(() => speak(accepted, out), { code: 'peer-closed' });
    assert.notEqual(conversation.status.state, 'ended');
    lab.red.dial(lab.at);
    back.add('again');
    await until('its next session carries it', () => taken.has('again'));
    await lab.close();
  });

  test('goes to a node by its name, whoever of the two dialled', async () => {
    const lab = await memoryLab();
    const taken = new Set<string>();
    lab.red.protocol({ name: 'queue', accept: taking(taken) });
    const queue = new Queue();
    queue.add('to who dialled');
    const conversation = lab.gray.converse<string, string>('red/red1', {
      protocol: 'queue',
      codecs: { 1: TEXT },
      behaviour: queue,
    });
    const peer = lab.red.dial(lab.at);
    await until('it has come', () => queue.isEmpty);
    peer.close();
    await until('it is over', () => conversation.status.state !== 'established');
    queue.add('again');
    lab.red.dial(lab.at);
    await until('it has come, too', () => queue.isEmpty);
    assert.deepEqual([...taken], ['to who dialled', 'again']);
    await lab.close();
    assert.equal(await conversation.ended, undefined);
  });

  test('is told what keeps its destination from being reached, and begins when it is there', async () => {
    const lab = await memoryLab();
    lab.gray.protocol({ name: 'queue', accept: taking(new Set()) });
    const heard: [string, string | undefined, number, string][] = [];
    const states: string[] = [];
    const conversation = lab.red.converse<string>(
      { cluster: 'north' },
      {
        protocol: 'queue',
        codecs: { 1: TEXT },
        behaviour: {
          established: ({ failedAttempts }) =>
            void heard.push(['up', undefined, failedAttempts, '']),
          retry: (failure, { attempt, delayMs, kind }) => {
            assert.ok(Number.isInteger(delayMs) && delayMs >= 0, `${delayMs}`);
            heard.push([failure.message, failure.hint, attempt, kind]);
          },
          status: ({ state }) => void states.push(state),
        },
      },
    );
    await until('it was told twice', () => heard.length >= 2);
    for (const [i, [message, hint, attempt, kind]] of heard.entries()) {
      assert.equal(message, 'nothing locates cluster north');
      assert.match(hint!, /^register one first: locate\("cluster"/);
      assert.deepEqual([attempt, kind], [i, 'refusal']);
    }
    assert.equal(conversation.status.retries, heard.length);
    assert.equal(conversation.status.lastFailure?.code, 'conversation-open');
    lab.red.locate('cluster', () => [lab.at]);
    await until('it is up', () => heard.at(-1)![0] === 'up');
    assert.deepEqual(states, ['opening', 'established']);
    await lab.close();
    assert.equal(await conversation.ended, undefined);
  });

  test('is refused for its versions until the other end learns one, and is told', async () => {
    const lab = await memoryLab();
    lab.gray.protocol({ name: 'queue', versions: [7], accept: taking(new Set()) });
    const queue = new Queue();
    lab.red.converse<string, string>(lab.red.dial(lab.at), {
      protocol: 'queue',
      codecs: { 1: TEXT, 2: TEXT },
      behaviour: queue,
    });
    await until('the failure', () => queue.failures.length > 0);
    assert.equal(
      queue.failures[0],
      'queue was asked for in versions 1, 2, and is spoken in version 7',
    );
    lab.gray.protocol({ name: 'queue', versions: [2, 7], accept: taking(new Set()) });
    await until('it is established', () => queue.establishments.length === 1);
    assert.deepEqual(queue.establishments, ['gray/gray1 2']);
    await lab.close();
  });
});

test('messages come in batches: one promise for what is there', TIMEOUT, async () => {
  const lab = await memoryLab();
  const batches: (readonly string[])[] = [];
  lab.gray.protocol({
    name: 'bulk',
    accept: async (stream) => {
      const messages = textOf(stream);
      for await (const batch of messages.batches()) batches.push(batch);
      messages.end();
    },
  });
  const messages = textOf(await lab.red.dial(lab.at).open({ protocol: 'bulk' }));
  const sent = Array.from({ length: 1000 }, (_, n) => `${n}`);
  for (const text of sent) void messages.send(text);
  messages.end();
  assert.deepEqual(await messages.receiveBatch(), []);
  assert.deepEqual(batches.flat(), sent);
  assert.ok(batches.length < 100, `${batches.length} batches`);
  await lab.close();
});

test('what is good before a message that is not is read first', TIMEOUT, async () => {
  const lab = await memoryLab();
  const failures: string[] = [];
  const read: string[] = [];
  lab.gray.protocol({
    name: 'strict',
    accept: async (stream) => {
      const decode = (bytes: Uint8Array) => {
        const text = TEXT.decode(bytes);
        if (text === 'bad') throw new Error('not this one');
        return text;
      };
      const messages = stream.messages({ codecs: { 1: { ...TEXT, decode } } });
      for await (const batch of messages.batches()) read.push(...batch);
    },
  });
  lab.gray.on('acceptFailed', (error) => failures.push((error as Error).message));
  const messages = textOf(await lab.red.dial(lab.at).open({ protocol: 'strict' }));
  for (const text of ['one', 'two', 'bad', 'three']) void messages.send(text);
  await assert.rejects(messages.receive(), { code: 'cancelled', message: 'not this one' });
  assert.deepEqual([read, failures], [['one', 'two'], ['not this one']]);
  await lab.close();
});
