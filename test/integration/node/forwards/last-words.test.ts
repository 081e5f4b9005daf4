import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import { keepReadable } from '../../../../packages/link/src/streams/kept-readable.ts';
import { onEachPlane } from '../../../support/nodes/data-planes.ts';
import {
  credentials,
  forward,
  LabNode,
  LISTEN,
  peerTo,
  service,
} from '../../../support/nodes/node-lab.ts';
import { dial, until } from '../../../support/sockets/loopback.ts';
import { targetProcess } from './target-process.ts';

const CLIENTS = 300;

const ANSWER = `-ERR Protocol error: ${'x'.repeat(2000)}\r\n`;

/** As Redis does with what it does not understand: the answer, and then it closes. */
const PROTOCOL_ERROR = `(socket) => socket.resume().once('data', () => {
  socket.pause();
  socket.write(${JSON.stringify(ANSWER)}, () => socket.destroy());
})`;

async function startPair(port: number, more: string) {
  const gray = await LabNode.start(
    await credentials('gray'),
    LISTEN + service('db', `127.0.0.1:${port}`, 'red', more),
  );
  const red = await LabNode.start(
    await credentials('red'),
    peerTo(gray) + forward('127.0.0.1:0', 'gray/db'),
  );
  return { red, gray, stop: () => Promise.all([red.stop(), gray.stop()]) };
}

/** Sends on and on, whatever comes, and gives what came. */
async function pesterUntilClosed(socket: Socket): Promise<string> {
  let text = '';
  socket.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  // A client that reads what there is although it cannot write any more.
  keepReadable(socket);
  socket.on('error', () => undefined);
  const sending = setInterval(() => socket.write('GET x\r\n'.repeat(20)), 1);
  await new Promise((resolve) => socket.on('end', resolve).on('close', resolve));
  clearInterval(sending);
  socket.destroy();
  return text;
}

onEachPlane(() => {
  for (const [to, more] of [
    ['a request', ''],
    ['a PROXY header', 'proxy_protocol = "v1"'],
  ] as const) {
    test(`the answer to ${to} of a target that closes while its clients send on is whole`, async (t) => {
      const { red, gray, stop } = await startPair(await targetProcess(t, PROTOCOL_ERROR), more);
      const address = await red.reach('gray/db');
      let whole = 0;
      for (let round = 0; round < CLIENTS / 20; round++) {
        const answers = Array.from({ length: 20 }, () => pesterUntilClosed(dial(address)));
        for (const answer of await Promise.all(answers)) whole += answer === ANSWER ? 1 : 0;
      }
      assert.equal(whole, CLIENTS);
      for (const { running } of [red, gray]) {
        const { forwards, services } = running.status();
        const open = () =>
          [...forwards, ...services].reduce((sum, { streams }) => sum + streams, 0);
        await until(
          'no stream is left',
          () => open() === 0 || running.status().peers[0]?.session?.streams === 0,
        );
      }
      await stop();
    });
  }
});
