import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, type TestContext, test } from 'node:test';
import type { LinkBehaviour, LinkStream } from '../../../../packages/link/src/index.ts';
import type { ByteReceiver, ByteStream } from '../../../../packages/link/src/streams/index.ts';
import { until } from '../../../support/lanes/lane-pair.ts';
import { type MemoryLab, memoryLab, TEXT, textOf } from '../../../support/link-lab.ts';

const TIMEOUT = { timeout: 120_000 };

const times = { heartbeatIntervalMs: 100, heartbeatMisses: 5, resumeTimeMs: 1_000 };

/** Links whose events nobody's failure keeps from anybody; closed at the end. */
async function labOf(t: TestContext): Promise<MemoryLab> {
  const lab = await memoryLab({ times });
  t.after(() => lab.close());
  return lab;
}

/** All kinds of failing there are, with the text that is told of each. */
const FAILURES: readonly [text: string, fail: () => unknown][] = [
  ['at once', () => throws(new Error('at once'))],
  ['later', () => Promise.reject(new Error('later'))],
  ['null', () => throws(null)],
  ['something that cannot be shown', () => throws(Object.create(null))],
  ['Symbol(x)', () => throws(Symbol('x'))],
  ['5', () => throws(Object.assign(new Error(), { message: 5 }))],
  ['long', () => throws(new Error(`long\n${'x\n'.repeat(500_000)}`))],
];

function throws(what: unknown): never {
  throw what;
}

describe('a callback that fails harms what it is for, and nothing else', TIMEOUT, () => {
  test('accept: its stream, with a text of whatever was thrown', async (t) => {
    const lab = await labOf(t);
    const failures: unknown[] = [];
    lab.gray.on('acceptFailed', (error) => failures.push(error));
    for (const [index, [, fail]] of FAILURES.entries()) {
      lab.gray.protocol({ name: `p${index}`, accept: () => fail() as Promise<void> });
    }
    const peer = await lab.red.dial(lab.at).ready();
    for (const [index, [text]] of FAILURES.entries()) {
      const stream = await peer.open({ protocol: `p${index}` });
      await assert.rejects(stream.bytes().read(), (error: { code: string; message: string }) => {
        assert.equal(error.code, 'internal');
        assert.ok(error.message.startsWith(text), error.message.slice(0, 80));
        return true;
      });
    }
    assert.equal(failures.length, FAILURES.length);
    assert.equal(peer.state, 'up');
  });

  test('a listener: the others are told, and a program that wants to know is', async (t) => {
    const lab = await labOf(t);
    const threw: string[] = [];
    for (const link of [lab.gray, lab.red]) {
      link.on('listenerThrew', (error, event) =>
        threw.push(`${event}: ${(error as Error).message}`),
      );
    }
    lab.gray.on('peer', () => throws(new Error('at once')));
    const later: () => unknown = async () => throws(new Error('later'));
    lab.gray.on('peer', later);
    const heard = once(lab.gray, 'peer');
    const peer = lab.red.dial(lab.at);
    for (const event of ['up', 'closed'] as const) {
      peer.on(event, () => throws(new Error('at once')));
    }
    await heard;
    await peer.ready();
    peer.close();
    await until('all are told', () => threw.length === 4);
    const expected = ['closed: at once', 'peer: at once', 'peer: later', 'up: at once'];
    assert.deepEqual(threw.sort(), expected);
  });

  test('a listener without anybody who wants to know: the process has it, as of any emitter', async (t) => {
    const lab = await labOf(t);
    const told: unknown[] = [];
    const others = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    process.once('uncaughtException', (error) => told.push(error.message));
    t.after(() => {
      process.removeAllListeners('uncaughtException');
      for (const other of others) process.on('uncaughtException', other);
    });
    const peer = lab.red.dial(lab.at);
    peer.once('up', () => throws(new Error('mine')));
    await until('it is told', () => told.length === 1);
    assert.deepEqual(told, ['mine']);
    // The link goes on as if nothing had been.
    assert.equal(await askOf(await peer.open({ protocol: 'echo' })), 'x');
  });

  test('listeners are the program’s: one that takes all away takes nothing from the link', async (t) => {
    const lab = await labOf(t);
    const peer = lab.red.dial(lab.at);
    const conversation = lab.red.converse<string>(peer, {
      ...{ protocol: 'echo', codecs: { 1: TEXT }, behaviour: {} },
    });
    peer.removeAllListeners();
    assert.equal(await lab.red.peer('gray/gray1'), peer);
    await until('it is up', () => conversation.status.state === 'established');
    peer.close();
    assert.equal(await conversation.ended, undefined);
    assert.deepEqual(lab.red.peers, []);
  });

  test('a receiver: its stream', async (t) => {
    const lab = await labOf(t);
    const peer = await lab.red.dial(lab.at).ready();
    for (const method of ['attach', 'data', 'flush', 'fin', 'writable'] as const) {
      const stream = await peer.open({ protocol: 'echo' });
      stream.join(new Failing(method));
      await until(method, () => stream.outcome !== undefined);
      assert.equal(stream.outcome!.code, 'internal', method);
      assert.match(stream.outcome!.reason, new RegExp(`its receiver failed: ${method}`));
    }
    await until('no stream is left', () => peer.stats!.streams === 0);
    assert.equal(peer.state, 'up');
  });

  test('a codec: its message, and the next is sent; what is not sent is not counted', async (t) => {
    const lab = await labOf(t);
    const peer = await lab.red.dial(lab.at).ready();
    const encode = (text: string) => {
      if (text === 'throw') throw new Error('encode');
      return text === 'text' ? (text as unknown as Buffer) : Buffer.from(text);
    };
    const codecs = { 1: { ...TEXT, encode } };
    const messages = (await peer.open({ protocol: 'echo' })).messages({ codecs, maxBytes: 100 });
    await assert.rejects(messages.send('throw'), /encode/);
    await assert.rejects(messages.send('text'), { code: 'argument-invalid' });
    await assert.rejects(messages.send('x'.repeat(101)), { code: 'message-too-large' });
    const good = ['', 'x'.repeat(100)];
    for (const text of good) await messages.send(text);
    for (const value of good) assert.deepEqual(await messages.receive(), { done: false, value });
    const { classes } = lab.red.statistics.snapshot();
    const { counters } = classes.find(({ kind }) => kind === 'stream')!;
    assert.deepEqual([counters.messagesSent, counters.messagesReceived], [2, 2]);
  });
});

describe('a conversation', TIMEOUT, () => {
  const speak = (lab: MemoryLab, behaviour: LinkBehaviour<string, string>, signal?: AbortSignal) =>
    lab.red.converse<string, string>('gray/gray1', {
      ...{ protocol: 'echo', codecs: { 1: TEXT }, maxBytes: 100, behaviour, signal },
    });

  test('does not say again and again what cannot be said', async (t) => {
    const lab = await labOf(t);
    lab.red.dial(lab.at);
    const tooLarge = 'x'.repeat(101);
    const ended = await speak(lab, { next: async () => tooLarge }).ended;
    assert.equal(ended?.code, 'conversation-callback');
    assert.match(ended.message, /^next: a message of 101 bytes/);

    const failures: unknown[] = [];
    const answers: string[] = [];
    const good = speak(lab, {
      message: (answer) => void answers.push(answer),
      cast: async (text, { send }) =>
        send(text).catch((error: unknown) => void failures.push(error)),
    });
    await until('it is up', () => good.status.state === 'established');
    good.cast(tooLarge);
    good.cast('small');
    await until('it is answered', () => answers.length === 1);
    assert.deepEqual(
      [answers, (failures[0] as { code: string }).code],
      [['small'], 'message-refused'],
    );
    assert.equal(good.status.establishments, 1);
  });

  test('ends with what status rejects with, and when retry hangs', async (t) => {
    const lab = await labOf(t);
    const status = async () => throws(new Error('status'));
    const ended = await speak(lab, { status: status as () => never }).ended;
    assert.equal(ended?.message, 'status: status');

    const stop = new AbortController();
    let isTold = false;
    const never = new Promise<void>(() => undefined);
    const retry = () => {
      isTold = true;
      return never;
    };
    const hanging = speak(lab, { retry }, stop.signal);
    const peer = await lab.red.dial(lab.at).ready();
    await until('it is up', () => hanging.status.state === 'established');
    peer.close();
    await until('it is told', () => isTold);
    stop.abort();
    assert.equal(await hanging.ended, undefined);
  });
});

test('a length that a peer says takes no memory before its bytes come', TIMEOUT, async (t) => {
  const lab = await labOf(t);
  const maxBytes = 512 * 1024 * 1024;
  const streams: LinkStream[] = [];
  lab.gray.protocol({
    name: 'large',
    accept: async (stream) => {
      streams.push(stream);
      await stream.messages({ codecs: { 1: TEXT }, maxBytes }).receive();
    },
  });
  const peer = await lab.red.dial(lab.at).ready();
  const before = process.memoryUsage().arrayBuffers;
  for (let i = 0; i < 20; i++) {
    const bytes = (await peer.open({ protocol: 'large' })).bytes();
    await bytes.write(Buffer.from([0x1f, 0xff, 0xff, 0xff, 1]));
  }
  await until('all have come', () => streams.length === 20);
  await peer.ping();
  const grown = process.memoryUsage().arrayBuffers - before;
  assert.ok(grown < 100 * 1024 * 1024, `${grown} bytes`);
});

async function askOf(stream: LinkStream): Promise<unknown> {
  const messages = textOf(stream);
  await messages.send('x');
  messages.end();
  return ((await messages.receive()) as { value: unknown }).value;
}

/** Takes what comes, and says something; one of its methods fails. */
class Failing implements ByteReceiver {
  readonly untouched = false;
  readonly #failing: string;
  #stream!: ByteStream;
  #hasWritten = false;

  constructor(failing: string) {
    this.#failing = failing;
  }

  attach(stream: ByteStream): void {
    this.#stream = stream;
    this.#mayFail('attach');
  }

  data(bytes: Uint8Array): void {
    this.#mayFail('data');
    this.#stream.delivered(bytes.length);
    this.#stream.flushLater();
  }

  flush(): void {
    this.#mayFail('flush');
  }

  fin(): void {
    this.#mayFail('fin');
    this.#stream.finDelivered();
  }

  writable(): void {
    this.#mayFail('writable');
    if (this.#hasWritten) return;
    this.#hasWritten = true;
    this.#stream.write(Buffer.from([0, 0, 0, 1, 65]));
    this.#stream.end();
  }

  detach(): void {}
  pause(): void {}
  finished(): void {}

  reset(): boolean {
    return true;
  }

  #mayFail(method: string): void {
    if (method === this.#failing) throw new Error(method);
  }
}
