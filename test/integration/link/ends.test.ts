import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { LinkStream, ProtocolOptions } from '../../../packages/link/src/index.ts';
import { until } from '../../support/lanes/lane-pair.ts';
import { echo, type MemoryLab, memoryLab, TEXT, textOf } from '../../support/link-lab.ts';

const streamsOf = (lab: MemoryLab) =>
  [lab.red, lab.gray].map(({ peers: [peer], statistics }) => ({
    open: peer!.stats!.streams,
    live: statistics.snapshot().meters.filter(({ kind }) => kind === 'stream').length,
  }));

/** Neither end keeps a stream, nor counts for one. */
async function nothingIsLeft(lab: MemoryLab): Promise<void> {
  await until('no stream is left', () =>
    streamsOf(lab).every(({ open, live }) => open === 0 && live === 0),
  );
}

/** Two texts, and not a look at what the other end says. */
async function tell(stream: LinkStream): Promise<void> {
  const messages = textOf(stream);
  for (const text of ['one', 'two']) await messages.send(text);
  messages.end();
  await messages.finished();
}

describe('a stream is over when both have ended it and read what there was', {
  timeout: 120_000,
}, () => {
  const serve = async (accept: NonNullable<ProtocolOptions['accept']>) => {
    const lab = await memoryLab();
    let served: Promise<void> | undefined;
    lab.gray.protocol({
      name: 'serve',
      accept: (stream, peer) => {
        served = Promise.resolve(accept(stream, peer));
        return served;
      },
      reply: (stream) => accept(stream, lab.gray.peers[0]!),
    });
    const peer = lab.red.dial(lab.at);
    return { lab, peer, stream: await peer.open({ protocol: 'serve' }), done: () => served };
  };

  test('by an end that only sends, and never asks for the end of the other', async () => {
    const { lab, peer, stream, done } = await serve(tell);
    const asked = await peer.request({ protocol: 'serve' });
    for (const each of [stream, asked]) {
      const messages = textOf(each);
      messages.end();
      const heard: string[] = [];
      for await (const text of messages) heard.push(text);
      assert.deepEqual(heard, ['one', 'two']);
    }
    await done();
    await nothingIsLeft(lab);
    assert.equal(stream.outcome?.code, undefined);
    await lab.close();
  });

  test('by an end that reads the answer and not on', async () => {
    const { lab, stream } = await serve(echo);
    const messages = textOf(stream);
    await messages.send('question');
    messages.end();
    assert.deepEqual(await messages.receive(), { done: false, value: 'question' });
    await nothingIsLeft(lab);
    assert.deepEqual(await messages.receive(), { done: true });
    await lab.close();
  });

  test('as bytes, and as a stream of Node whose other half nobody reads', async () => {
    const { lab, stream } = await serve((each) => void each.duplex().end('told'));
    const bytes = stream.bytes();
    bytes.end();
    assert.equal(Buffer.from((await bytes.read())!).toString(), 'told');
    await nothingIsLeft(lab);
    assert.equal(await bytes.read(), undefined);
    await lab.close();
  });

  test('and not before: what nobody has taken keeps it', async () => {
    const { lab, stream } = await serve((each) => textOf(each).end());
    const messages = textOf(stream);
    await messages.send('unread');
    messages.end();
    assert.deepEqual(await messages.receive(), { done: true });
    await lab.red.peers[0]!.ping();
    assert.deepEqual(
      streamsOf(lab).map(({ open }) => open),
      [1, 1],
    );
    stream.reset();
    await nothingIsLeft(lab);
    await lab.close();
  });

  test('or by a reset in whichever form it is used, and by its signal', async () => {
    for (const form of ['messages', 'bytes', 'signal'] as const) {
      const { lab, stream } = await serve((each) => textOf(each).end());
      const owner = new AbortController();
      const { signal } = owner;
      const used =
        form === 'bytes'
          ? stream.bytes({ signal })
          : stream.messages<string>({ codecs: { 1: TEXT }, signal });
      if ('send' in used) await used.send('unread');
      else await used.write(Buffer.from('unread'));
      used.end();
      if ('receive' in used) assert.deepEqual(await used.receive(), { done: true });
      else assert.equal(await used.read(), undefined);
      const over = assert.rejects(used.finished(), { code: 'cancelled', message: 'enough' });
      if (form === 'signal') owner.abort(new Error('enough'));
      else used.reset('cancelled', 'enough');
      await over;
      await nothingIsLeft(lab);
      await lab.close();
    }
  });
});
