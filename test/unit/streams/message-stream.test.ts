import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { AsyncByteStream } from '../../../packages/link/src/streams/adapters/async-byte-stream.ts';
import { StreamResetError } from '../../../packages/link/src/streams/adapters/byte-channel.ts';
import { MessageStream } from '../../../packages/link/src/streams/adapters/message-stream.ts';
import { StreamDuplex } from '../../../packages/link/src/streams/adapters/stream-duplex.ts';
import { FakeByteStream } from '../../support/sockets/fake-byte-stream.ts';

const TEXT = {
  encode: (text: string) => Buffer.from(text),
  decode: (bytes: Uint8Array) => Buffer.from(bytes).toString(),
};
const UPPER = { ...TEXT, encode: (text: string) => Buffer.from(text.toUpperCase()) };

const nextRound = () => new Promise((resolve) => setImmediate(resolve));

function joined(maxBytes = 100_000) {
  const messages = new MessageStream({ codecs: { 1: TEXT }, maxBytes });
  const session = new FakeByteStream(messages.receiver);
  messages.receiver.writable();
  return { messages, session };
}

function frame(text: string, size = Buffer.byteLength(text)): Buffer {
  const prefix = Buffer.alloc(4);
  prefix.writeUInt32BE(size);
  return Buffer.concat([prefix, Buffer.from(text)]);
}

test('messages come out as they went in, however their bytes are cut', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.oneof(
          fc.string(),
          fc.integer({ min: 0, max: 9_000 }).map((n) => 'x'.repeat(n)),
        ),
      ),
      fc.array(fc.integer({ min: 1, max: 5_000 }), { minLength: 1 }),
      async (texts, cuts) => {
        const from = joined();
        for (const text of texts) await from.messages.send(text);
        from.messages.end();
        const bytes = Buffer.from(from.session.text, 'latin1');
        const to = joined();
        for (let at = 0, n = 0; at < bytes.length; n++) {
          const size = cuts[n % cuts.length]!;
          to.messages.receiver.data(bytes.subarray(at, at + size));
          to.messages.receiver.flush();
          at += size;
        }
        to.messages.receiver.fin();
        const received: string[] = [];
        for await (const text of to.messages) received.push(text);
        assert.deepEqual(received, texts);
        assert.equal(to.session.bytesDelivered, bytes.length);
      },
    ),
    { numRuns: 50 },
  );
});

test('messages sent in one go are one write', async () => {
  const { messages, session } = joined();
  let writes = 0;
  session.write = () => {
    writes += 1;
    return true;
  };
  for (let n = 0; n < 100; n++) void messages.send(`message ${n}`);
  await nextRound();
  assert.equal(writes, 1);
});

test('a message beyond the maximum is not sent, and resets the stream of a peer that sends one', async () => {
  const { messages, session } = joined(10);
  await assert.rejects(messages.send('12345678901'), { code: 'message-too-large' });
  await messages.send('1234567890');
  messages.receiver.data(frame('', 11));
  messages.receiver.flush();
  await assert.rejects(messages.receive(), {
    code: 'message-too-large',
    message: 'a message of 11 bytes, and at most 10 are taken',
  });
  assert.deepEqual(session.told, ['cancelled']);
});

test('an end within a message is an error, an end behind one is not', async () => {
  for (const [size, isWhole] of [
    [4, true],
    [5, false],
  ] as const) {
    const { messages } = joined();
    messages.receiver.data(frame('text', size));
    messages.receiver.fin();
    if (isWhole) {
      assert.deepEqual(await messages.receive(), { done: false, value: 'text' });
      assert.deepEqual(await messages.receive(), { done: true });
    } else {
      await assert.rejects(messages.receive(), { code: 'message-truncated' });
    }
  }
});

test('each version has its codec', async () => {
  const messages = new MessageStream({ codecs: { 1: TEXT, 2: UPPER } });
  const session = new FakeByteStream(messages.receiver);
  messages.receiver.writable();
  assert.throws(() => messages.speak(3), /no codec for version/);
  messages.speak(2);
  await messages.send('loud');
  await nextRound();
  assert.equal(session.text, '\0\0\0\x04LOUD');
});

test('a signal resets a stream, also before it has one', async () => {
  for (const make of [
    (signal: AbortSignal) => new AsyncByteStream({ signal }),
    (signal: AbortSignal) => new StreamDuplex({ signal }).on('error', () => undefined),
    (signal: AbortSignal) => new MessageStream({ codecs: { 1: TEXT }, signal }),
  ]) {
    for (const isEarly of [true, false]) {
      const abort = new AbortController();
      const { receiver } = make(abort.signal);
      if (isEarly) abort.abort();
      await nextRound();
      const session = new FakeByteStream(receiver);
      abort.abort(new StreamResetError('draining', 'it drains'));
      await nextRound();
      assert.equal(session.told.length, 1, `early: ${isEarly}`);
    }
  }
});

test('a signal that has fired already, too', async () => {
  const signal = AbortSignal.abort(new StreamResetError('draining', 'it drains'));
  for (const form of [AsyncByteStream, StreamDuplex]) {
    const failed: unknown[] = [];
    const made = new form({ signal });
    if (made instanceof StreamDuplex) made.on('error', (error) => failed.push(error));
    await nextRound();
    const session = new FakeByteStream(made.receiver);
    assert.equal(session.told.length, 1, form.name);
    if (made instanceof StreamDuplex) assert.equal((failed[0] as Error).name, 'AbortError');
    else await assert.rejects(made.read(), { code: 'draining' });
  }
});

test('a turn that comes to nothing is over, though the peer goes on for ever', async (t) => {
  const { messages, session } = joined();
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const over = messages.giveUpTurn();
  session.receiver.data(frame('more'));
  await nextRound();
  assert.deepEqual(session.told, ['end']);
  t.mock.timers.tick(5_000);
  await over;
  assert.deepEqual(session.told, ['end', 'cancelled']);
});

test('bytes that came before a reset of the connection are read before the error', async () => {
  const stream = new AsyncByteStream();
  new FakeByteStream(stream.receiver);
  stream.receiver.data(Buffer.from('last words'));
  assert.equal(stream.receiver.reset('connection-reset', 'at the other end'), true);
  assert.equal(Buffer.from((await stream.read())!).toString(), 'last words');
  await assert.rejects(stream.read(), { code: 'connection-reset' });

  const duplex = new StreamDuplex();
  new FakeByteStream(duplex.receiver);
  const chunks: string[] = [];
  duplex.on('readable', () => {
    for (;;) {
      const chunk = duplex.read() as Uint8Array | null;
      if (chunk === null) return;
      chunks.push(Buffer.from(chunk).toString());
    }
  });
  duplex.receiver.data(Buffer.from('last words'));
  duplex.receiver.reset('connection-reset', 'at the other end');
  await assert.rejects(new Promise((_, reject) => duplex.on('error', reject)), {
    code: 'connection-reset',
  });
  assert.deepEqual(chunks, ['last words']);
});

test('a Duplex whose connection was reset takes what is written until all before it was read', async () => {
  const duplex = new StreamDuplex();
  const session = new FakeByteStream(duplex.receiver);
  session.open = false;
  duplex.receiver.writable();
  const written = ['first', 'second'].map(
    (text) => new Promise((resolve) => duplex.write(text, resolve)),
  );
  duplex.receiver.data(Buffer.from('last words'));
  duplex.receiver.reset('connection-reset', 'at the other end');
  for (const error of await Promise.all(written)) assert.ok(error === null || error === undefined);
  assert.equal(session.text, 'first');
  const failed = new Promise((resolve) => duplex.on('error', resolve));
  const chunks: string[] = [];
  duplex.on('data', (chunk: Uint8Array) => chunks.push(Buffer.from(chunk).toString()));
  assert.equal(((await failed) as StreamResetError).code, 'connection-reset');
  assert.deepEqual(chunks, ['last words']);
});

test('a signal that outlives its streams does not keep them', async () => {
  const { signal } = new AbortController();
  let listeners = 0;
  const { addEventListener, removeEventListener } = signal;
  signal.addEventListener = (...args: Parameters<typeof addEventListener>) => {
    listeners += 1;
    addEventListener.apply(signal, args);
  };
  signal.removeEventListener = (...args: Parameters<typeof removeEventListener>) => {
    listeners -= 1;
    removeEventListener.apply(signal, args);
  };
  const [reset, ended] = [new AsyncByteStream({ signal }), new AsyncByteStream({ signal })];
  assert.equal(listeners, 2);
  reset.reset();
  ended.receiver.finished();
  await ended.finished();
  assert.equal(listeners, 0);
});

test('reading that is given up resets the stream', async () => {
  const stream = new AsyncByteStream();
  const session = new FakeByteStream(stream.receiver);
  stream.receiver.data(Buffer.from('some'));
  for await (const chunk of stream) {
    assert.equal(Buffer.from(chunk).toString(), 'some');
    break;
  }
  // Whoever the error of a loop goes to may have a better reason.
  assert.deepEqual(session.told, []);
  await nextRound();
  assert.deepEqual(session.told, ['cancelled']);
});

test('a receiver moves to another stream as long as nothing of it was taken', async () => {
  const stream = new AsyncByteStream();
  const first = new FakeByteStream(stream.receiver);
  assert.equal(stream.receiver.untouched, true);
  stream.receiver.detach();
  const second = new FakeByteStream(stream.receiver);
  const writing = stream.write(Buffer.from('to the second'));
  stream.end();
  assert.equal(second.text, '');
  stream.receiver.writable();
  await writing;
  assert.deepEqual([first.text, second.text, second.told], ['', 'to the second', ['end']]);
  assert.equal(stream.receiver.untouched, false);
});

test('what was sent without credit for more is done with the end behind it, too', async () => {
  const { messages, session } = joined();
  session.open = false;
  const first = messages.send('first');
  const second = messages.send('second'.repeat(1_000));
  messages.end();
  assert.deepEqual(session.told, []);
  messages.receiver.writable();
  messages.receiver.writable();
  await Promise.all([first, second]);
  messages.receiver.writable();
  assert.deepEqual(session.told, ['end']);
  const bytes = new AsyncByteStream();
  const other = new FakeByteStream(bytes.receiver);
  bytes.receiver.writable();
  other.open = false;
  const last = bytes.write(Buffer.from('last'));
  bytes.end();
  await last;
  assert.deepEqual(other.told, ['end']);
});

/** Brings bytes as a session does whose lane has only lent them. */
function lend({ messages }: ReturnType<typeof joined>, bytes: Uint8Array): number {
  const lent = new Uint8Array(bytes);
  const absorbed = messages.receiver.absorb!(lent);
  const rest = lent.slice(absorbed);
  if (rest.length > 0) messages.receiver.data(rest);
  lent.fill(0xdb);
  return absorbed;
}

/** Of which more is absorbed than one round brings. */
const LONG = ['a', 'b', 'c'].map((letter) => letter.repeat(20_000));
const LONG_BYTES = 3 * (4 + 20_000);

test('messages come out of bytes that were lent as they went in, however those are cut', async () => {
  const sizes = fc.oneof(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 7_000, max: 40_000 }));
  await fc.assert(
    fc.asyncProperty(
      fc.array(sizes, { maxLength: 20 }),
      fc.array(fc.integer({ min: 1, max: 70_000 }), { minLength: 1 }),
      fc.array(fc.boolean(), { minLength: 1 }),
      async (lengths, cuts, lends) => {
        const texts = lengths.map((length, n) => String(n % 10).repeat(length));
        const bytes = Buffer.concat(texts.map((text) => frame(text)));
        const to = joined();
        const received: string[] = [];
        const reading = (async () => {
          for await (const text of to.messages) received.push(text);
        })();
        for (let at = 0, n = 0; at < bytes.length; n++) {
          const part = bytes.subarray(at, at + cuts[n % cuts.length]!);
          if (lends[n % lends.length]) lend(to, part);
          else to.messages.receiver.data(part);
          at += part.length;
          // A reader that waits is told, and has not had its turn when the next bytes come.
          if (n % 2 === 0) to.messages.receiver.flush();
          if (n % 3 === 0) await nextRound();
        }
        to.messages.receiver.fin();
        await reading;
        assert.deepEqual(received, texts);
        assert.equal(to.session.bytesDelivered, bytes.length);
      },
    ),
    { numRuns: 100 },
  );
});

test('a long message is put together as its bytes come, in memory of its own', async () => {
  const bytes = {
    encode: (message: Uint8Array) => message,
    decode: (message: Uint8Array) => message,
  };
  const messages = new MessageStream({ codecs: { 1: bytes } });
  new FakeByteStream(messages.receiver);
  const lent = frame('long '.repeat(4_000));
  assert.equal(messages.receiver.absorb!(lent), lent.length);
  messages.receiver.flush();
  const next = await messages.receive();
  assert.ok(!next.done);
  assert.notEqual(next.value.buffer, lent.buffer);
  assert.equal(next.value.buffer.byteLength, 20_000);
});

test('short messages are not absorbed: a copy of all of them is cheaper', () => {
  const lab = joined();
  assert.equal(lend(lab, Buffer.concat([frame('one'), frame('two')])), 0);
  assert.equal(lend(joined(), Buffer.concat([frame(LONG[0]!), frame('two')])), 4 + 20_000);
});

test('what was absorbed is delivered with the message that its reader takes, and so is the end', async () => {
  const lab = joined();
  const ends: number[] = [];
  lab.session.finDelivered = () => void ends.push(lab.session.bytesDelivered);
  assert.equal(lend(lab, Buffer.concat(LONG.map((text) => frame(text)))), LONG_BYTES);
  lab.messages.receiver.fin();
  await nextRound();
  assert.deepEqual([lab.session.bytesDelivered, ends], [0, []]);
  for (const [n, text] of LONG.entries()) {
    assert.deepEqual(await lab.messages.receive(), { done: false, value: text });
    const unread = LONG.length - 1 - n;
    assert.equal(lab.session.bytesDelivered, LONG_BYTES - unread * 20_000);
  }
  assert.deepEqual(ends, [LONG_BYTES]);
});

test('a reader that waits for a long message lets the peer send the rest of it', async () => {
  const lab = joined();
  const reading = lab.messages.receive();
  const bytes = frame(LONG[0]!);
  lend(lab, bytes.subarray(0, 9_000));
  await nextRound();
  assert.equal(lab.session.bytesDelivered, 9_000);
  lend(lab, bytes.subarray(9_000));
  assert.deepEqual(await reading, { done: false, value: LONG[0] });
  assert.equal(lab.session.bytesDelivered, bytes.length);
});

test('behind the end of a turn nothing is absorbed: it is of another protocol', async () => {
  const lab = joined();
  const mark = Buffer.from('ffffffff', 'hex');
  assert.equal(lend(lab, Buffer.concat([frame(LONG[0]!), mark])), 4 + 20_000);
  lab.messages.receiver.flush();
  assert.deepEqual(await lab.messages.receive(), { done: false, value: LONG[0] });
  assert.deepEqual(await lab.messages.receive(), { done: true });
  const next = Buffer.concat([frame('{}'), frame(LONG[1]!)]);
  assert.equal(lend(lab, next), 0);
  assert.equal(Buffer.from(await lab.messages.afterMark()).toString(), '{}');
  assert.ok(Buffer.concat(lab.messages.release()).equals(frame(LONG[1]!)));
});

test('a message that is too long is not absorbed, and fails as ever', async () => {
  const lab = joined(10_000);
  assert.equal(lend(lab, frame(LONG[0]!)), 0);
  lab.messages.receiver.flush();
  await assert.rejects(lab.messages.receive(), { code: 'message-too-large' });
});
