import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { createLink, type LinkStream } from '../../../../packages/link/src/index.ts';
import { Replies } from '../../../../packages/link/src/link/replies.ts';
import type { LinkSession } from '../../../../packages/link/src/link/session/link-session.ts';
import { StreamJoint } from '../../../../packages/link/src/link/session/stream-joint.ts';
import { MessageStream } from '../../../../packages/link/src/streams/adapters/message-stream.ts';
import { until } from '../../../support/lanes/lane-pair.ts';
import { echo, identity, memoryLab, TEXT, textOf } from '../../../support/link-lab.ts';

/** Peers answer calls in a way of their own, as those of another make may. */
function odd(t: TestContext, answer: Replies['answer']): void {
  const mocked = t.mock.method(Replies.prototype, 'answer', answer);
  t.after(() => mocked.mock.restore());
}

async function callOf(stream: LinkStream): Promise<{ readonly inReplyTo: string }> {
  const call = await textOf(stream).receive();
  assert.ok(!call.done);
  return JSON.parse(call.value) as { inReplyTo: string };
}

/** A stream in reply, whatever was asked. */
function replyOf(session: LinkSession, protocol: string, service: string): MessageStream<string> {
  const reply = new MessageStream({ codecs: { 1: TEXT } });
  const request = { protocol, versions: [1], capabilities: [], service };
  const handlers = { answerMs: 10_000, onAccepted: () => undefined };
  session.driver.open(request, reply.receiver, handlers);
  return reply;
}

describe('a stream that a peer is asked to open', { timeout: 120_000 }, () => {
  test('comes from the one that can only dial out, with what was agreed, for what was asked', async () => {
    const lab = await memoryLab();
    const served: string[] = [];
    lab.red.protocol({
      name: 'object',
      versions: [1, 2],
      capabilities: ['compact', 'more'],
      class: 'proxy-get',
      accept: echo,
      reply: async (stream, peer, key) => {
        served.push(`${peer.name} ${key} ${stream.version} ${stream.capabilities.join()}`);
        const messages = stream.messages({
          codecs: { 2: { encode: Buffer.from, decode: String } },
        });
        await messages.send(`value of ${key}`);
        messages.end();
        await messages.receive();
      },
    });
    lab.red.dial(lab.at);
    const red = await lab.gray.peer('red/red1');
    const stream = await red.request({
      protocol: 'object',
      versions: [2, 3],
      capabilities: ['compact'],
      service: 'key-7',
    });
    assert.deepEqual(
      [stream.version, stream.capabilities, stream.service],
      [2, ['compact'], 'key-7'],
    );
    const text = {
      encode: Buffer.from,
      decode: (bytes: Uint8Array) => Buffer.from(bytes).toString(),
    };
    const messages = stream.messages<string>({ codecs: { 2: text } });
    assert.deepEqual(await messages.receive(), { done: false, value: 'value of key-7' });
    assert.deepEqual(await messages.receive(), { done: true });
    messages.end();
    assert.deepEqual(served, ['gray/gray1 key-7 2 compact']);
    await until('no stream is left', () => red.stats!.streams === 0);
    await lab.close();
  });

  test('is refused where nobody opens it, or not in a version of the asker', async () => {
    const lab = await memoryLab();
    const reply = () => undefined;
    lab.gray.protocol({ name: 'object', versions: [1, 2], accept: echo, reply });
    const peer = lab.red.dial(lab.at);
    await assert.rejects(peer.request({ protocol: 'nothing' }), {
      code: 'unsupported-protocol',
      hint: /^register it at the peer: link.protocol\(\{ name: 'nothing', reply: … \}\)/,
    });
    await assert.rejects(peer.request({ protocol: 'echo' }), {
      code: 'unsupported-protocol',
      message: 'echo is opened, and not asked for: use peer.open',
    });
    await assert.rejects(peer.request({ protocol: 'object', versions: [3] }), {
      code: 'unsupported-version',
      message: 'object was asked for in version 3, and is spoken in versions 1, 2',
    });
    await until('no stream is left', () => lab.gray.peers[0]!.stats!.streams === 0);
    await lab.close();
  });

  test('needs no accept: then the protocol can be asked for, and not opened', async () => {
    const lab = await memoryLab();
    lab.gray.protocol({ name: 'object', reply: echo });
    const peer = lab.red.dial(lab.at);
    const asked = textOf(await peer.request({ protocol: 'object' }));
    asked.end();
    assert.deepEqual(await asked.receive(), { done: true });
    const refused = {
      code: 'unsupported-protocol',
      message: 'object is asked for, and not opened: use peer.request',
    };
    await assert.rejects(peer.open({ protocol: 'object' }), refused);
    const stream = await peer.open({ protocol: 'echo' });
    const messages = textOf(stream);
    await assert.rejects(stream.become({ protocol: 'object' }), refused);
    assert.deepEqual(await messages.receive(), { done: true });
    await until('no stream is left', () => lab.gray.peers[0]!.stats!.streams === 0);
    await lab.close();
  });

  test('is taken by nobody who did not ask, and not after it was given up', async () => {
    const lab = await memoryLab();
    const peer = lab.red.dial(lab.at);
    await peer.ready();
    for (const service of ['re-0123456789abcdef', 're-ffffffffffffffff']) {
      await assert.rejects(peer.open({ protocol: 'echo', service }), { code: 'argument-invalid' });
      // A peer that keeps to no rule of this library.
      const opened = new MessageStream({ codecs: { 1: TEXT } });
      const request = { protocol: 'echo', versions: [1], capabilities: [], service };
      peer.session!.driver.open(request, opened.receiver, {
        answerMs: 1e4,
        onAccepted: () => undefined,
      });
      await assert.rejects(opened.finished(), {
        code: 'cancelled',
        message: 'nobody waits for it',
      });
    }
    // Its owner has just gone: who asks waits for another.
    const owner = new AbortController();
    lab.gray.protocol({ name: 'object', accept: echo, reply: () => undefined }, owner);
    owner.abort();
    const asking = new AbortController();
    const given = assert.rejects(peer.request({ protocol: 'object' }, asking), {
      code: 'dial-aborted',
    });
    await until('it is asked', () => lab.gray.peers[0]!.stats!.streams === 1);
    asking.abort();
    await given;
    const taken: LinkStream[] = [];
    const reply = (stream: LinkStream) => void taken.push(stream);
    lab.gray.protocol({ name: 'object', accept: echo, reply });
    await until('no stream is left', () => lab.gray.peers[0]!.stats!.streams === 0);
    assert.deepEqual(taken, []);
    await lab.close();
  });

  test('is reset when what takes it fails, and that is told where it failed', async () => {
    const lab = await memoryLab();
    const failures: unknown[] = [];
    lab.gray.on('acceptFailed', (error, protocol) =>
      failures.push(`${protocol}: ${(error as Error).message}`),
    );
    lab.gray.protocol({
      name: 'object',
      accept: echo,
      reply: () => {
        throw new Error('lost');
      },
    });
    const stream = await lab.red.dial(lab.at).request({ protocol: 'object' });
    await assert.rejects(textOf(stream).receive(), { code: 'internal', message: 'lost' });
    assert.deepEqual(failures, ['object: lost']);
    await lab.close();
  });

  test('is taken in the protocol that was asked for, from the one that was asked, once', async (t) => {
    const lab = await memoryLab();
    const blue = createLink({
      ...{ identity: identity('blue'), transports: { memory: lab.network.transport } },
    });
    const own = { transport: 'memory', address: 'blue' };
    await blue.listen(own);
    await lab.red.dial(own).ready();
    let refused = 0;
    odd(t, async (stream, _peer, session) => {
      const { inReplyTo } = await callOf(stream);
      const another = blue.peers[0]!.session!;
      for (const [of, protocol] of [
        [session, 'echo'],
        [another, 'object'],
      ] as const) {
        const reply = replyOf(of, protocol, inReplyTo);
        await assert.rejects(reply.finished(), { message: 'nobody waits for it' });
        refused++;
      }
      await replyOf(session, 'object', inReplyTo).send('the one');
      await assert.rejects(replyOf(session, 'object', inReplyTo).finished(), {
        message: 'nobody waits for it',
      });
      refused++;
    });
    const stream = await lab.red.dial(lab.at).request({ protocol: 'object' });
    assert.deepEqual(await textOf(stream).receive(), { done: false, value: 'the one' });
    await until('the others were refused', () => refused === 3);
    await Promise.all([lab.close(), blue.close()]);
  });

  test('does not come from a peer that never answers: the request ends in its time, or its signal', async (t) => {
    let answer: (messages: MessageStream<string>) => unknown = () => undefined;
    let calls = 0;
    odd(t, async (stream) => {
      calls++;
      await answer(textOf(stream));
    });
    // One says nothing, one ends the call and opens nothing.
    for (const own of ['receive', 'end'] as const) {
      answer = (messages) => messages[own]();
      calls = 0;
      const lab = await memoryLab();
      const peer = lab.red.dial(lab.at);
      await assert.rejects(peer.request({ protocol: 'object', answerMs: 300 }), {
        code: 'target-timeout',
        message: 'the other node gave no answer in 300 ms',
      });
      const asking = new AbortController();
      const given = assert.rejects(peer.request({ protocol: 'object' }, asking), {
        code: 'dial-aborted',
        message: /^asking for object was stopped/,
      });
      await until('it is asked', () => calls === 2);
      await new Promise((resolve) => setTimeout(resolve, 20));
      asking.abort();
      await given;
      await until('no stream is left', () => peer.stats!.streams === 0);
      await lab.close();
    }
  });

  test('ends with its signal at every step on the way', async () => {
    const lab = await memoryLab();
    lab.gray.protocol({ name: 'object', accept: echo, reply: () => undefined });
    const peer = await lab.red.dial(lab.at).ready();
    // So many turns of promises after the call was taken.
    for (let turns = 0; turns < 12; turns++) {
      const asking = new AbortController();
      const joint = StreamJoint.prototype;
      const { agreed } = joint;
      joint.agreed = function (this: StreamJoint) {
        joint.agreed = agreed;
        agreed.call(this);
        let left = turns;
        const turn = () => (left-- === 0 ? asking.abort() : queueMicrotask(turn));
        queueMicrotask(turn);
      };
      await assert.rejects(peer.request({ protocol: 'object' }, asking), { code: 'dial-aborted' });
    }
    await until('no stream is left', () => peer.stats!.streams === 0);
    await lab.close();
  });

  test('is reset when it comes in the same breath in which its request was given up', async (t) => {
    const lab = await memoryLab();
    const peer = lab.red.dial(lab.at);
    const asking = new AbortController();
    // Is run within the round that brings the reply, too.
    lab.red.protocol({ name: 'stop', accept: () => asking.abort() });
    const opened: MessageStream<string>[] = [];
    odd(t, async (stream, _peer, session) => {
      const { inReplyTo } = await callOf(stream);
      opened.push(replyOf(session, 'stop', 'main'), replyOf(session, 'object', inReplyTo));
    });
    await assert.rejects(peer.request({ protocol: 'object' }, asking), { code: 'dial-aborted' });
    const reply = opened[1]!;
    await assert.rejects(reply.finished(), { code: 'cancelled', message: 'nobody waits for it' });
    await lab.close();
  });

  test('waits out a cut like any other', async () => {
    const lab = await memoryLab();
    lab.gray.protocol({
      name: 'object',
      accept: echo,
      reply: async (stream) => {
        const messages = textOf(stream);
        await messages.send('after all');
        messages.end();
        await messages.receive();
      },
    });
    const peer = lab.red.dial(lab.at);
    await peer.ready();
    lab.network.setDown(true);
    lab.network.cut();
    await until('it is suspended', () => peer.state === 'suspended');
    const asking = peer.request({ protocol: 'object' });
    lab.network.setDown(false);
    assert.deepEqual(await textOf(await asking).receive(), { done: false, value: 'after all' });
    await lab.close();
  });
});
