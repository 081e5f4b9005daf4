import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NativeEndpoint } from '../../../packages/linux/src/sockets/native-endpoint.ts';
import type { NativeSocket } from '../../../packages/linux/src/sockets/native-socket.ts';
import { SilenceWatch } from '../../../packages/linux/src/sockets/silence.ts';
import { FakeByteStream } from '../../support/sockets/fake-byte-stream.ts';

/** A socket that does nothing by itself and takes no bytes. */
function fakeSocket(options: { isUnix?: boolean; isSilent?: (ms: number) => boolean } = {}) {
  const calls: string[] = [];
  const note = (call: string) => () => void calls.push(call);
  const socket = {
    isClosed: false,
    isUnix: false,
    isPaused: true,
    endRead: false,
    queuedBytes: 0,
    writingError: undefined,
    bind: () => undefined,
    pause: note('pause'),
    resume: note('resume'),
    write: ({ length }: Uint8Array) => {
      socket.queuedBytes += length;
    },
    writeThrough: ({ length }: Uint8Array) => void calls.push(`writeThrough ${length}`),
    flush: () => undefined,
    reset: note('reset'),
    keepAlive: (ms: number) => void calls.push(`keepAlive ${ms}`),
    isSilent: () => false,
    fail: ({ code }: NodeJS.ErrnoException) => void calls.push(`fail ${code}`),
    ...options,
  };
  return { socket, native: socket as unknown as NativeSocket, calls };
}

function ended(side: 'client' | 'target') {
  const { socket, native, calls } = fakeSocket();
  const codes: (string | undefined)[] = [];
  const endpoint = new NativeEndpoint(native, side, ({ code }) => codes.push(code));
  return { socket, calls, codes, endpoint, session: new FakeByteStream(endpoint) };
}

test('a target that is gone is given 10 s to be read, and 10 s more after each progress', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { endpoint, session, codes, calls } = ended('target');
  endpoint.onGone();
  t.mock.timers.tick(9_999);
  endpoint.onData(Buffer.from('last'));
  t.mock.timers.tick(10_000);
  assert.deepEqual(session.told, []);
  t.mock.timers.tick(10_000);
  assert.deepEqual([session.told, codes], [['cancelled'], ['connection-reset']]);
  assert.equal(calls.at(-1), 'reset');
});

test('what came before a reset is waited for as long as some of it is taken in 5 s', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { endpoint, session, codes, socket, calls } = ended('client');
  endpoint.data(new Uint8Array(100));
  assert.equal(endpoint.reset('connection-reset', 'at the other end'), false);
  t.mock.timers.tick(4_999);
  socket.queuedBytes = 60;
  endpoint.onWritten();
  t.mock.timers.tick(4_999);
  assert.deepEqual([session.told, codes], [[], []]);
  t.mock.timers.tick(1);
  assert.deepEqual([session.told, codes], [['cancelled'], ['connection-reset']]);
  assert.equal(session.bytesDelivered, 40);
  assert.equal(calls.at(-1), 'reset');
});

test('a read is copied: its memory is read over', () => {
  const { endpoint, session } = ended('client');
  const chunks: Uint8Array[] = [];
  session.write = (chunk) => {
    chunks.push(chunk);
    return true;
  };
  const read = new Uint8Array(128 * 1024).fill(1);
  endpoint.onData(read);
  read.fill(2);
  assert.equal(chunks[0]!.length, read.length);
  assert.ok(chunks[0]!.every((byte) => byte === 1));
});

test('lent bytes are written at once where they are many and nothing waits', () => {
  const { endpoint, session, socket, calls } = ended('target');
  const lent = new Uint8Array(16 * 1024);
  assert.equal(endpoint.absorb(lent.subarray(1)), 0, 'small ones are gathered');
  assert.equal(endpoint.absorb(lent), lent.length);
  assert.deepEqual(
    calls.filter((call) => call.startsWith('write')),
    ['writeThrough 16384'],
  );
  endpoint.flush();
  assert.equal(session.bytesDelivered, lent.length);
  socket.queuedBytes = 1;
  assert.equal(endpoint.absorb(lent), 0, 'not before what waits');
});

test('a connection whose other end is silent for too long is failed', (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  let silent = false;
  const asked: number[] = [];
  const isSilent = (ms: number) => asked.push(ms) > 0 && silent;
  const watch = new SilenceWatch();
  const { native, calls, socket } = fakeSocket({ isSilent });
  const unix = fakeSocket({ isUnix: true });
  watch.join(native, 15_000);
  watch.join(unix.native, 15_000);
  watch.join(fakeSocket().native, 0);
  for (let n = 0; n < 6; n++) t.mock.timers.tick(250);
  assert.deepEqual(calls, ['keepAlive 15000']);
  assert.ok(asked.length > 0 && asked.every((ms) => ms === 25_000));
  silent = true;
  t.mock.timers.tick(1000);
  assert.ok(calls.includes('fail ETIMEDOUT'));
  socket.isClosed = true;
  t.mock.timers.tick(1000);
  const before = asked.length;
  t.mock.timers.tick(1000);
  assert.equal(asked.length, before);
});
