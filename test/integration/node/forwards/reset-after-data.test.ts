import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import type { Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import type { Address, TcpAddress } from '../../../../packages/proto/src/base/address.ts';
import { onEachPlane } from '../../../support/nodes/data-planes.ts';
import {
  credentials,
  forward,
  LabNode,
  LISTEN,
  peerTo,
  service,
} from '../../../support/nodes/node-lab.ts';
import { dial, serve, until } from '../../../support/sockets/loopback.ts';
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
  const services = (allow: string) => service('x', `127.0.0.1:${answering.port}`, allow);
  const forwards = (site: string) => forward('127.0.0.1:0', `${site}/x`);
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
    await answering.close();
  };
  return { gray, red, stop };
}

// So does Redis with too many clients, and a web server with a body that is too large.
// It reads one byte, so that more waits unread when it closes: that is a reset, at once.
const RUDE = `(paused) => {
  const callback = () => {
    socket.write(Buffer.alloc(${ANSWER_BYTES}, 'E'), () => socket.destroy());
    return false;
  };
  const onread = { buffer: Buffer.alloc(1), callback };
  const socket = new (require('node:net').Socket)({ handle: paused._handle, onread });
  socket.on('error', () => {});
  socket.resume();
}`;

onEachPlane(() => {
  test('an answer that is followed by a reset arrives whole, 400 clients at once each way', async () => {
    const { gray, red, stop } = await lab();
    for (const address of [await red.reach('gray/x'), await gray.reach('red/x')]) {
      const outcomes = await Promise.all(Array.from({ length: 400 }, () => ask(address)));
      assert.deepEqual(counted(outcomes), { [`${ANSWER_BYTES} reset`]: 400 });
    }
    await stop();
  });

  for (const [size, request] of [
    ['short', 'PING\r\n'],
    ['long', 'PING\r\n'.repeat(3000)],
  ] as const) {
    test(`the answer to a ${size} request of a server that closes with input unread arrives whole`, (t) =>
      askRude(t, request));
  }

  test('so it does beside bulk that goes the same way', (t) =>
    askRude(t, 'PING\r\n'.repeat(3000), async (red) => {
      const bulk = await red.reach('gray/bulk');
      let read = 0;
      for (let n = 0; n < 4; n++) {
        const reader = dial(bulk);
        t.after(() => reader.destroy());
        reader.on('error', () => undefined);
        reader.on('data', (bytes) => {
          read += bytes.length;
        });
      }
      await until('bulk flows', () => read > 8 * 1024 * 1024);
    }));

  /** The text of a program: clients that are served send so many bytes each, and reset behind them. */
  function resettingClients(port: number, clients: number, bytes: number): string {
    return `
    const served = [];
    for (let n = 0; n < ${clients}; n++) {
      const socket = require('node:net').connect(${port}, '127.0.0.1');
      socket.on('error', () => {});
      socket.once('data', () => {
        if (served.push(socket) < ${clients}) return;
        for (const each of served) each.write(Buffer.alloc(${bytes}), () => each.resetAndDestroy());
      });
    }`;
  }

  test('what a client sent before it was reset reaches the target, then the reset does', async (t) => {
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
    const { port } = (await red.reach('gray/x')) as TcpAddress;
    // A process of their own: bytes and reset then meet at the node in one go.
    const clients = spawn(process.execPath, ['-e', resettingClients(port, 200, REQUEST_BYTES)]);
    t.after(() => clients.kill('SIGKILL'));
    await until('all targets were reset', () => seen.length === 200);
    assert.deepEqual(counted(seen), { [`${REQUEST_BYTES} reset`]: 200 });
    await Promise.all([red.stop(), gray.stop()]);
    await target.close();
  });
});

/** Answers of a rude target that is a process of its own, to 400 clients at once. */
async function askRude(t: TestContext, request: string, busy?: (red: LabNode) => Promise<void>) {
  const port = await targetProcess(t, RUDE);
  const bulk = await serve(source);
  t.after(() => bulk.close());
  const gray = await LabNode.start(
    await credentials('gray'),
    LISTEN +
      service('x', `127.0.0.1:${port}`, 'red') +
      service('bulk', `127.0.0.1:${bulk.port}`, 'red'),
  );
  t.after(() => gray.stop());
  const red = await LabNode.start(
    await credentials('red'),
    peerTo(gray) + forward('127.0.0.1:0', 'gray/x') + forward('127.0.0.2:0', 'gray/bulk'),
  );
  t.after(() => red.stop());
  await busy?.(red);
  const address = await red.reach('gray/x');
  const outcomes = await Promise.all(Array.from({ length: 400 }, () => ask(address, request)));
  assert.deepEqual(counted(outcomes), { [`${ANSWER_BYTES} reset`]: 400 });
}
