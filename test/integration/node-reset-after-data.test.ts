import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import type { Address } from '../../src/base/address.ts';
import { credentials, forward, LabNode, LISTEN, peerTo, service } from './node-lab.ts';
import { dial, serve, until } from './node-support.ts';
import { targetProcess } from './target-process.ts';

const ANSWER_BYTES = 4_096;
const REQUEST_BYTES = 32 * 1024;

/** Answers the first bytes, and is reset behind the answer with whatever else comes unread. */
function answerAndReset(socket: Socket): void {
  socket.once('data', () => {
    socket.write(Buffer.alloc(ANSWER_BYTES, 'E'), () => socket.resetAndDestroy());
  });
}

/** Sends as fast as it is read. */
function source(socket: Socket): void {
  const chunk = Buffer.alloc(64 * 1024);
  const go = () => {
    while (socket.write(chunk));
  };
  socket.on('drain', go);
  go();
}

/**
 * Calls `tell` when the connection is over. libuv may call a reset an end that comes together with
 * the last bytes: writing tells the two apart.
 */
function whenOver(socket: Socket, tell: (how: 'reset' | 'end') => void): void {
  let how: 'reset' | 'end' = 'end';
  socket.on('error', () => {
    how = 'reset';
  });
  socket.on('end', () => socket.end('?'));
  socket.on('close', () => tell(how));
}

/** What a client of the address read, and how that ended. */
function ask(address: Address, request = 'PING\r\n'): Promise<string> {
  return new Promise((resolve) => {
    const socket = dial(address);
    let read = 0;
    socket.on('connect', () => socket.write(request));
    socket.on('data', (bytes) => {
      read += bytes.length;
    });
    whenOver(socket, (how) => resolve(`${read} ${how}`));
  });
}

/** How often each outcome occurs. */
function counted(outcomes: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const outcome of outcomes) counts[outcome] = (counts[outcome] ?? 0) + 1;
  return counts;
}

/** Both nodes offer the same, each to the other's clients. */
async function lab() {
  const answering = await serve(answerAndReset);
  const bulk = await serve(source);
  const services = (allow: string) =>
    service('x', `127.0.0.1:${answering.port}`, allow) +
    service('bulk', `127.0.0.1:${bulk.port}`, allow);
  const forwards = (site: string) =>
    forward('127.0.0.1:0', `${site}/x`) + forward('127.0.0.2:0', `${site}/bulk`);
  const gray = await LabNode.start(
    await credentials('gray'),
    LISTEN + services('red') + forwards('red'),
  );
  const red = await LabNode.start(
    await credentials('red'),
    peerTo(gray) + services('gray') + forwards('gray'),
  );
  const stop = async () => {
    await Promise.all([red.stop(), gray.stop()]);
    await Promise.all([answering.close(), bulk.close()]);
  };
  return { gray, red, stop };
}

test('an answer that is followed by a reset arrives whole, 400 clients at once each way', async () => {
  const { gray, red, stop } = await lab();
  for (const address of [await red.reach('gray/x'), await gray.reach('red/x')]) {
    const outcomes = await Promise.all(Array.from({ length: 400 }, () => ask(address)));
    assert.deepEqual(counted(outcomes), { [`${ANSWER_BYTES} reset`]: 400 });
  }
  await stop();
});

test('an answer of a server that closes with input unread arrives whole', async (t) => {
  // So does Redis with too many clients, and a web server with a body that is too large.
  const rude = `(socket) => setTimeout(() => {
    socket.write(Buffer.alloc(${ANSWER_BYTES}, 'E'), () => socket.destroy());
  }, 5)`;
  const port = await targetProcess(t, rude);
  const gray = await LabNode.start(
    await credentials('gray'),
    LISTEN + service('x', `127.0.0.1:${port}`, 'red'),
  );
  const red = await LabNode.start(
    await credentials('red'),
    peerTo(gray) + forward('127.0.0.1:0', 'gray/x'),
  );
  const address = await red.reach('gray/x');
  for (const request of ['PING\r\n', 'PING\r\n'.repeat(3000)]) {
    const outcomes = await Promise.all(Array.from({ length: 400 }, () => ask(address, request)));
    // Where the request was late nothing was unread yet, and the target's end came in order.
    const bytes = outcomes.map((outcome) => outcome.split(' ')[0]!);
    assert.deepEqual(counted(bytes), { [ANSWER_BYTES]: 400 });
    assert.ok((counted(outcomes)[`${ANSWER_BYTES} reset`] ?? 0) > 200, 'most are reset');
  }
  await Promise.all([red.stop(), gray.stop()]);
});

test('so it does beside bulk that goes the same way', async () => {
  const { red, stop } = await lab();
  const bulk = await red.reach('gray/bulk');
  const readers = Array.from({ length: 4 }, () => dial(bulk));
  let read = 0;
  for (const reader of readers) {
    reader.on('error', () => undefined);
    reader.on('data', (bytes) => {
      read += bytes.length;
    });
  }
  await until('bulk flows', () => read > 8 * 1024 * 1024);
  const address = await red.reach('gray/x');
  const outcomes: string[] = [];
  for (let i = 0; i < 50; i++) outcomes.push(await ask(address));
  assert.deepEqual(counted(outcomes), { [`${ANSWER_BYTES} reset`]: 50 });
  for (const reader of readers) reader.destroy();
  await stop();
});

test('what a client sent before it was reset reaches the target, then the reset does', async () => {
  const seen: string[] = [];
  const target = await serve((socket) => {
    let read = 0;
    // So that clients know that they are served.
    socket.write('hello');
    socket.on('data', (bytes) => {
      read += bytes.length;
    });
    whenOver(socket, (how) => seen.push(`${read} ${how}`));
  });
  const gray = await LabNode.start(
    await credentials('gray'),
    LISTEN + service('x', `127.0.0.1:${target.port}`, 'red'),
  );
  const red = await LabNode.start(
    await credentials('red'),
    peerTo(gray) + forward('127.0.0.1:0', 'gray/x'),
  );
  const address = await red.reach('gray/x');
  for (let i = 0; i < 50; i++) {
    const socket = dial(address);
    socket.on('error', () => undefined);
    socket.once('data', () => {
      socket.write(Buffer.alloc(REQUEST_BYTES), () => socket.resetAndDestroy());
    });
  }
  await until('all targets were reset', () => seen.length === 50);
  assert.deepEqual(counted(seen), { [`${REQUEST_BYTES} reset`]: 50 });
  await Promise.all([red.stop(), gray.stop()]);
  await target.close();
});
