import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { pipeline } from 'node:stream/promises';
import { describe, test } from 'node:test';
import type { LinkStream } from '../../../../packages/link/src/index.ts';
import { AsyncByteStream } from '../../../../packages/link/src/streams/adapters/async-byte-stream.ts';
import { MessageStream } from '../../../../packages/link/src/streams/adapters/message-stream.ts';
import { until } from '../../../support/lanes/lane-pair.ts';
import { ask, echo, type MemoryLab, memoryLab, textOf } from '../../../support/link-lab.ts';

const INVALID = { code: 'argument-invalid' };

describe('a stream goes on in another protocol', { timeout: 120_000 }, () => {
  test('when both have ended the first, and as bytes just as well', async () => {
    const lab = await memoryLab();
    lab.gray.protocol({
      name: 'bulk',
      versions: [2, 3],
      capabilities: ['packed'],
      class: 'handoff',
      accept: async (stream) => {
        assert.deepEqual([stream.version, stream.capabilities], [3, ['packed']]);
        const duplex = stream.duplex();
        await pipeline(duplex, duplex);
      },
    });
    const first = await lab.red.dial(lab.at).open({ protocol: 'echo' });
    const messages = textOf(first);
    await messages.send('hello');
    assert.deepEqual(await messages.receive(), { done: false, value: 'hello' });
    const next = await first.become({
      protocol: 'bulk',
      versions: [3, 4],
      capabilities: ['packed', 'other'],
      class: 'handoff',
    });
    assert.deepEqual([next.protocol, next.version, next.capabilities], ['bulk', 3, ['packed']]);
    assert.deepEqual(await messages.receive(), { done: true });
    await assert.rejects(messages.send('too late'), /sent after the end/);

    const sent = randomBytes(3_000_000);
    const back = createHash('sha256');
    const duplex = next.duplex();
    duplex.end(sent);
    for await (const chunk of duplex) back.update(chunk as Uint8Array);
    assert.equal(back.digest('hex'), createHash('sha256').update(sent).digest('hex'));
    await nothingLeft(lab);

    const { classes } = lab.gray.statistics.snapshot();
    const of = (name: string) => classes.find((each) => each.class === name)!;
    assert.equal(of('handoff').counters.bytesReceived, sent.length);
    assert.ok(of('echo').counters.bytesReceived < 1000);
    assert.deepEqual([of('handoff').live, of('echo').live], [0, 0]);
    await lab.close();
  });

  test('as often as it likes', async () => {
    const lab = await memoryLab();
    let stream = await lab.red.dial(lab.at).open({ protocol: 'echo' });
    for (const text of ['one', 'two', 'three']) {
      const messages = textOf(stream);
      await messages.send(text);
      assert.deepEqual(await messages.receive(), { done: false, value: text });
      stream = await stream.become({ protocol: 'echo' });
    }
    assert.equal(await ask(stream, 'four'), 'four');
    await lab.close();
  });

  test('what the peer still says of the first is read as before, however long that takes', async (t) => {
    const waits = t.mock.method(AsyncByteStream.prototype, 'finished');
    const lab = await memoryLab();
    lab.gray.protocol({
      name: 'list',
      accept: async (stream) => {
        const messages = textOf(stream);
        for await (const _ of messages);
        for (let n = 0; n < 20_000; n++) await messages.send(`item ${n}`);
        messages.end();
      },
    });
    const first = await lab.red.dial(lab.at).open({ protocol: 'list' });
    const messages = textOf(first);
    const becoming = first.become({ protocol: 'echo' });
    let count = 0;
    for await (const text of messages) assert.equal(text, `item ${count++}`);
    assert.equal(count, 20_000);
    // Whoever waits for so many messages keeps nothing of each.
    assert.ok(waits.mock.callCount() < 10, `it waited ${waits.mock.callCount()} times`);
    assert.equal(await ask(await becoming, 'next'), 'next');
    await lab.close();
  });

  test('that is reset in the middle of it: then nothing counts for it any more', async (t) => {
    const lab = await memoryLab();
    const peer = lab.red.dial(lab.at);
    const { afterMark } = MessageStream.prototype;
    // So many turns of promises after the agreement came.
    for (let turns = 0; turns < 10; turns++) {
      const first = await peer.open({ protocol: 'echo' });
      textOf(first);
      const mocked = t.mock.method(
        MessageStream.prototype,
        'afterMark',
        async function (this: MessageStream<string>) {
          const text = await afterMark.call(this);
          const isAnswer = Buffer.from(text).includes('"version":');
          if (isAnswer) void after(turns, () => first.reset('overload', 'enough'));
          return text;
        },
      );
      await first.become({ protocol: 'echo' }).catch(() => undefined);
      mocked.mock.restore();
      await until('it is reset', () => first.outcome?.code === 'overload');
    }
    await nothingLeft(lab);
    await lab.close();
  });

  test('what comes right behind the agreement, its end too, is of the next', async () => {
    const lab = await memoryLab();
    lab.gray.protocol({
      name: 'greeting',
      accept: async (stream) => {
        const messages = textOf(stream);
        await messages.send('at once');
        messages.end();
        await messages.receive();
      },
    });
    const first = await lab.red.dial(lab.at).open({ protocol: 'echo' });
    textOf(first);
    const next = await first.become({ protocol: 'greeting' });
    // Long after all of it has come.
    await until('it has come', () => lab.red.peers[0]!.stats!.bytesReceived > 30);
    const messages = textOf(next);
    assert.deepEqual(await messages.receive(), { done: false, value: 'at once' });
    assert.deepEqual(await messages.receive(), { done: true });
    messages.end();
    await nothingLeft(lab);
    await lab.close();
  });

  test('over a cut in the middle of it', async () => {
    const lab = await memoryLab();
    const peer = lab.red.dial(lab.at);
    const first = await peer.open({ protocol: 'echo' });
    textOf(first);
    lab.network.setDown(true);
    lab.network.cut();
    await until('it is suspended', () => peer.state === 'suspended');
    const becoming = first.become({ protocol: 'echo' });
    lab.network.setDown(false);
    assert.equal(await ask(await becoming, 'late'), 'late');
    await lab.close();
  });

  test('what cannot be agreed on ends the stream in order, with what both ends speak', async () => {
    const lab = await memoryLab();
    lab.gray.protocol({ name: 'bulk', versions: [1, 2], accept: echo });
    const peer = lab.red.dial(lab.at);
    const become = async (request: { protocol: string; versions?: number[] }) => {
      const first = await peer.open({ protocol: 'echo' });
      textOf(first);
      return first.become(request);
    };
    await assert.rejects(become({ protocol: 'bulk', versions: [3] }), {
      code: 'unsupported-version',
      message: 'bulk was asked for in version 3, and is spoken in versions 1, 2',
    });
    await assert.rejects(become({ protocol: 'nothing' }), { code: 'unsupported-protocol' });
    await nothingLeft(lab);
    await lab.close();
  });

  test('not by an answer that is none: what was not offered, or is no agreement', async () => {
    const lab = await memoryLab();
    let answer: unknown;
    // A peer that keeps to no rule: it says what it likes behind the mark.
    lab.gray.protocol({
      name: 'raw',
      accept: async (stream) => {
        const bytes = stream.bytes();
        await bytes.read();
        const text = Buffer.from(JSON.stringify(answer));
        const lengths = Buffer.alloc(8, 0xff);
        lengths.writeUInt32BE(text.length, 4);
        await bytes.write(Buffer.concat([lengths, text]));
      },
    });
    const peer = lab.red.dial(lab.at);
    for (const [said, why] of [
      [{ version: 9, capabilities: [] }, /version 9 was not offered/],
      [{ version: 2, capabilities: ['other'] }, /capability other was not offered/],
      [{ version: 2, capabilities: 'packed' }, /no agreement/],
      [{ version: '2', capabilities: [] }, /no agreement/],
      [null, /no agreement/],
      [[], /no agreement/],
    ] as const) {
      answer = said;
      const stream = await peer.open({ protocol: 'raw' });
      textOf(stream);
      const becoming = stream.become({ protocol: 'x', versions: [2], capabilities: ['packed'] });
      await assert.rejects(becoming, { code: 'internal', message: why });
      await until('it is reset', () => stream.outcome !== undefined);
    }
    await nothingLeft(lab);
    await lab.close();
  });

  test('a peer that has ended the stream cannot go on', async () => {
    const lab = await memoryLab();
    let reading: Promise<unknown> | undefined;
    lab.gray.protocol({
      name: 'curt',
      accept: (stream) => {
        const messages = textOf(stream);
        messages.end();
        reading = messages.receive();
      },
    });
    const peer = lab.red.dial(lab.at);
    const first = await peer.open({ protocol: 'curt' });
    textOf(first);
    await assert.rejects(first.become({ protocol: 'echo' }), { code: 'become-too-late' });
    assert.deepEqual(await reading, { done: true });
    await nothingLeft(lab);
    await lab.close();
  });

  test('waiting for it ends with its signal, and the stream with it', async () => {
    const lab = await memoryLab();
    const taken: LinkStream[] = [];
    lab.gray.protocol({ name: 'silent', accept: (stream) => void taken.push(stream) });
    const first = await lab.red.dial(lab.at).open({ protocol: 'silent' });
    textOf(first);
    const controller = new AbortController();
    const becoming = first.become({ protocol: 'echo' }, controller);
    controller.abort();
    await assert.rejects(becoming, { code: 'dial-aborted' });
    await until('its end', () => taken[0]?.outcome?.code === 'cancelled');
    await nothingLeft(lab);
    await lab.close();
  });

  test('waiting for a reader who never comes ends with the signal, and with the session', async () => {
    for (const how of ['signal', 'link'] as const) {
      const lab = await memoryLab();
      const first = await lab.red.dial(lab.at).open({ protocol: 'echo' });
      const messages = textOf(first);
      // The echo of it stays unread.
      await messages.send('hello');
      const controller = new AbortController();
      const becoming = first.become({ protocol: 'echo' }, controller);
      const failed = assert.rejects(becoming, {
        code: how === 'signal' ? 'dial-aborted' : 'session-lost',
      });
      await assert.rejects(first.become({ protocol: 'echo' }), { code: 'stream-in-use' });
      if (how === 'signal') controller.abort();
      else await lab.gray.close();
      await failed;
      await lab.close();
    }
  });

  test('is asked for by the end that opened it, as messages, and in a form that can be said', async () => {
    const lab = await memoryLab();
    const failures: string[] = [];
    lab.gray.on('acceptFailed', (error) => failures.push((error as Error).message));
    lab.gray.protocol({
      name: 'pushy',
      accept: async (stream) => {
        textOf(stream);
        await stream.become({ protocol: 'echo' });
      },
    });
    const peer = lab.red.dial(lab.at);
    textOf(await peer.open({ protocol: 'pushy' }));
    await until('the failure', () => failures.length === 1);
    assert.match(failures[0]!, /the end that opened it/);
    const stream = await peer.open({ protocol: 'echo' });
    await assert.rejects(stream.become({ protocol: 'echo' }), INVALID);
    textOf(stream);
    await assert.rejects(stream.become({ protocol: 'echo', versions: [0] }), INVALID);
    await lab.close();
  });
});

/** After so many turns of promises. */
async function after(turns: number, act: () => void): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await Promise.resolve();
  act();
}

async function nothingLeft(lab: MemoryLab): Promise<void> {
  const peers = [...lab.gray.peers, ...lab.red.peers];
  await until('no stream is left', () => peers.every((peer) => peer.stats!.streams === 0));
  const meters = [lab.gray, lab.red].flatMap((link) => link.statistics.snapshot().meters);
  assert.deepEqual(
    meters.filter(({ kind }) => kind === 'stream'),
    [],
  );
}
