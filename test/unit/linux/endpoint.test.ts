import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NativeEndpoint } from '../../../packages/linux/src/sockets/native-endpoint.ts';
import type { NativeSocket } from '../../../packages/linux/src/sockets/native-socket.ts';
import { SilenceWatch } from '../../../packages/linux/src/sockets/silence.ts';
import type { Slab } from '../../../packages/linux/src/memory/slab-pool.ts';
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

const slab = { surrender: () => undefined } as unknown as Slab;

test('a target that is gone is given 10 s to be read, and 10 s more after each progress', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { endpoint, session, codes, calls } = ended('target');
  endpoint.onGone();
  t.mock.timers.tick(9_999);
  endpoint.onData(Buffer.from('last'), slab);
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

test('a piece is copied while it is small, and has its slab surrendered otherwise', () => {
  let surrendered = 0;
  const counted = { surrender: () => surrendered++ } as unknown as Slab;
  const { endpoint, session } = ended('client');
  const chunks: Uint8Array[] = [];
  session.write = (chunk) => {
    chunks.push(chunk);
    return true;
  };
  const read = new Uint8Array(64 * 1024 + 1);
  assert.equal(endpoint.onData(read.subarray(0, 64 * 1024), counted), false);
  assert.equal(surrendered, 0);
  assert.equal(endpoint.onData(read, counted), true);
  assert.equal(surrendered, 1);
  assert.notEqual(chunks[0]!.buffer, read.buffer);
  assert.equal(chunks[1], read);
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
