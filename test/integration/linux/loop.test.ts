import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { type AddressInfo, createServer, connect } from 'node:net';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { connectSocket } from '../../../packages/linux/src/sockets/connect.ts';
import type { NativeSocket } from '../../../packages/linux/src/sockets/native-socket.ts';
import { READ_BYTES_MAX } from '../../../packages/linux/src/memory/read-room.ts';
import { EPOLLET, EPOLLIN, EPOLLOUT } from '../../../packages/linux/src/system/constants.ts';
import { encodeAddress } from '../../../packages/linux/src/system/socket-address.ts';
import { planeMissing, testPlane } from '../../support/linux/native-plane.ts';
import { nativeListener, SocketLog } from '../../support/linux/native-sockets.ts';
import { until } from '../../support/sockets/loopback.ts';

const CHILD = fileURLToPath(new URL('./loop-process.ts', import.meta.url));

/** Both ends native. */
async function pair(): Promise<[NativeSocket, NativeSocket]> {
  const { listener, next, place } = nativeListener();
  const both = await Promise.all([connectSocket(testPlane(), { to: place }), next()]);
  listener.close();
  return both;
}

/** Two native sockets that send each other as much as they can, until stopped. */
async function saturation(): Promise<{ stop(): void; bytes(): number }> {
  const [from, to] = await pair();
  const sender = new SocketLog(from);
  const receiver = new SocketLog(to);
  receiver.use = () => false;
  const chunk = new Uint8Array(256 * 1024);
  const fill = () => {
    while (from.queuedBytes === 0 && !from.isClosed) {
      from.write(chunk);
      from.flush();
    }
  };
  sender.onWritten = () => testPlane().loop.atRoundEnd(fill);
  fill();
  return {
    bytes: () => receiver.bytes,
    stop: () => {
      from.reset();
      to.reset();
    },
  };
}

/** Rounds of the loop from a moment on until something of Node has happened. */
async function roundsUntil(event: () => Promise<unknown>): Promise<number> {
  const { loop } = testPlane();
  const before = loop.rounds;
  await event();
  return loop.rounds - before;
}

describe('the event loop', { timeout: 60_000, skip: planeMissing }, () => {
  living();
  taking();

  test('timers, files, names and sockets of Node have their turn under load', async () => {
    const load = await Promise.all([saturation(), saturation(), saturation()]);
    const { loop } = testPlane();
    const server = createServer((socket) => socket.pipe(socket)).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
    await once(client, 'connect');

    // A timer that is due is called before the round after next.
    const lateRounds: number[] = [];
    for (let n = 0; n < 20; n++) {
      const dueMs = performance.now() + 2;
      let roundsWhenDue = Number.POSITIVE_INFINITY;
      const onRound = () => {
        if (performance.now() >= dueMs + 1) roundsWhenDue = Math.min(roundsWhenDue, loop.rounds);
        else loop.atRoundEnd(onRound);
      };
      loop.atRoundEnd(onRound);
      await new Promise((resolve) => setTimeout(resolve, 2));
      lateRounds.push(Math.max(0, loop.rounds - roundsWhenDue));
    }
    assert.ok(Math.max(...lateRounds) <= 2, `timers: ${lateRounds} rounds late`);

    // The others are done by threads or by two turns of libuv's loop; each comes back within some.
    const before = load.map(({ bytes }) => bytes());
    const echo = () => {
      client.write('x');
      return once(client, 'data');
    };
    for (let n = 0; n < 5; n++) {
      assert.ok((await roundsUntil(() => new Promise(setImmediate))) <= 2);
      await Promise.all([readFile(CHILD), lookup('127.0.0.1'), echo()]);
    }
    assert.ok((await roundsUntil(echo)) <= 20, 'an echo of Node takes few rounds');
    load.forEach(({ bytes }, n) => {
      assert.ok(bytes() > before[n]!, 'the load has gone on all the time');
    });
    for (const each of load) each.stop();
    client.destroy();
    server.close();
  });

  test('what one socket reads in a round is bounded, and others have their turn', async () => {
    const load = await saturation();
    const { loop } = testPlane();
    let most = 0;
    let before = load.bytes();
    let rounds = loop.rounds;
    const measure = () => {
      most = Math.max(most, (load.bytes() - before) / (loop.rounds - rounds || 1));
      before = load.bytes();
      rounds = loop.rounds;
      if (!stopped) setImmediate(measure);
    };
    let stopped = false;
    measure();
    // An echo between two others, native both, under the same load.
    const [near, far] = await pair();
    const echo = new SocketLog(far);
    echo.use = (bytes) => {
      far.write(bytes.slice());
      far.flush();
      return false;
    };
    const log = new SocketLog(near);
    const roundsOfEchoes: number[] = [];
    for (let n = 1; n <= 200; n++) {
      roundsOfEchoes.push(
        await roundsUntil(async () => {
          near.write(Buffer.from('ping'));
          near.flush();
          while (log.bytes < 4 * n) await new Promise(setImmediate);
        }),
      );
    }
    stopped = true;
    load.stop();
    near.close();
    far.close();
    roundsOfEchoes.sort((a, b) => a - b);
    assert.ok(roundsOfEchoes[100]! <= 10, `half of the echoes take ${roundsOfEchoes[100]} rounds`);
    // A left-over read and one for each time that a round asks for events.
    assert.ok(most <= 5 * READ_BYTES_MAX, `${most} bytes in a round`);
  });
});

function living(): void {
  for (const [what, words, said] of [
    ['lives while something is watched and ends with it', 'echo', ['echoed', 'closed', 'exit 0']],
    ['ends when nothing was ever watched', 'nothing', ['exit 0']],
    [
      'goes on with the others when a handler throws',
      'throw',
      ['caught', 'echoed', 'closed', 'exit 0'],
    ],
    [
      'goes on with the others when one throws at the end of a round',
      'throw late',
      ['caught', 'second', 'exit 0'],
    ],
  ] as const) {
    test(`a process ${what}`, async () => {
      const child = spawn(process.execPath, ['--import', 'tsx', CHILD, words], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      let text = '';
      child.stdout.on('data', (bytes) => {
        text += bytes;
      });
      const [code] = (await once(child, 'close')) as [number];
      assert.deepEqual([...text.split('\n').filter(Boolean), `exit ${code}`], said);
    });
  }
}

function taking(): void {
  test('events of a descriptor are not told to the next one that has its number', async () => {
    const { loop, system } = testPlane();
    const fds = await Promise.all([pair(), pair()]);
    const told: number[] = [];
    let newcomer = -1;
    // Whichever of the two is told first closes the other, and a new socket gets its number.
    const sockets = fds.map(([near]) => near);
    sockets.forEach((near, n) => {
      const log = new SocketLog(near);
      log.use = () => {
        if (newcomer >= 0) return false;
        sockets[1 - n]!.close();
        newcomer = system.socket(encodeAddress({ host: '127.0.0.1', port: 0 }));
        loop.watch(newcomer, EPOLLIN + EPOLLOUT + EPOLLET, {
          ready: (events) => told.push(events),
        });
        return false;
      };
    });
    for (const [, far] of fds) {
      far.bind(new SocketLog(far));
      far.write(Buffer.from('both are told of this in one round'));
    }
    for (const [, far] of fds) far.flush();
    await until('the newcomer is told of its own', () => told.length > 0);
    assert.deepEqual(
      told.map((events) => events & EPOLLIN),
      told.map(() => 0),
    );
    loop.unwatch(newcomer);
    system.close(newcomer);
    for (const each of fds.flat()) each.close();
  });
}
