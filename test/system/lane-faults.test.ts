import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { blackholeOff, blackholeOn } from '../support/namespaces/namespaces.ts';
import { until } from '../support/process.ts';
import type { RoutyNode } from '../support/nodes/routy.ts';
import { startTcpTools } from '../support/tcp-tools/tcp-tools.ts';
import { type RunningPair, startPair } from './pair.ts';
import { systemTest } from './world.ts';

const FORWARD_PORT = 9000;
const HEARTBEAT_INTERVAL_MS = 1_000;
const HEARTBEAT_MISSES = 3;
const DEAD_MS_MAX = HEARTBEAT_INTERVAL_MS * HEARTBEAT_MISSES + 1_000;
const BACK_MS_MAX = 1_000;
/** How long the path stays gone after the lane is declared dead: the dialler is deep in its backoff. */
const GONE_MS = [500, 4_000, 9_000];

systemTest('a black-holed lane is noticed and replaced', { timeoutMs: 120_000 }, async (world) => {
  const { network, directory } = world;
  const red = startTcpTools(network.red, directory, 'tools-red');
  world.defer(red.stop);
  const gray = startTcpTools(network.gray, directory, 'tools-gray');
  world.defer(gray.stop);
  const source = await red.call('serve', { mode: 'source' });
  const pair = await startPair(world, {
    red: { services: { source: `127.0.0.1:${source}` } },
    gray: { forwards: { [`127.0.0.1:${FORWARD_PORT}`]: 'red/source' } },
    // Without a resume time the loss of the lanes is what ends the session and its streams.
    settings: {
      fabric: { heartbeat_interval: '"1s"', heartbeat_misses: '3', resume_time: '"0s"' },
    },
  });
  const assertFlowing = async (): Promise<number> => {
    const reader = await gray.call('openReader', { host: '127.0.0.1', port: FORWARD_PORT });
    assert.ok((await gray.call('readerRate', { handle: reader, ms: 300 })) > 0);
    return reader;
  };
  for (const goneMs of GONE_MS) {
    await world.step(`declared dead, then gone for ${goneMs} ms, then back`, async () => {
      const reader = await assertFlowing();
      const positions = { red: pair.red.logPosition(), gray: pair.gray.logPosition() };
      const cutMs = performance.now();
      await blackholeOn(network);
      const dead = await timesSince(cutMs, pair, 'declares the lane dead', (up) => !up);
      world.note(`declared dead after ${describe(dead)}`);
      for (const side of ['red', 'gray'] as const) {
        assert.ok(dead[side] <= DEAD_MS_MAX, `${side} took ${dead[side]} ms`);
        await pair[side].untilLogged(positions[side], [/heartbeat/]);
      }
      const outcome = await until('the stream in flight has ended', async () => {
        return (await gray.call('readerOutcome', { handle: reader })) ?? undefined;
      });
      // A clean end could pass for complete data.
      assert.equal(outcome, 'ECONNRESET');
      await sleep(goneMs);
      await blackholeOff(network);
      const back = await timesSince(performance.now(), pair, 'is back', (up) => up);
      world.note(`back after ${describe(back)}`);
      assert.ok(back.red <= BACK_MS_MAX, `the dialler took ${back.red} ms`);
      await pair.untilReady();
      await gray.call('closeReader', { handle: reader });
      await gray.call('closeReader', { handle: await assertFlowing() });
    });
  }
});

interface Times {
  readonly red: number;
  readonly gray: number;
}

/** After how many ms since `startMs` each node's status says what is waited for. */
async function timesSince(
  startMs: number,
  pair: RunningPair,
  what: string,
  check: (up: boolean) => boolean,
): Promise<Times> {
  const timeOf = async (node: RoutyNode): Promise<number> => {
    await node.untilStatus(what, ({ peers }) => check(peers.some(({ state }) => state === 'up')));
    return Math.round(performance.now() - startMs);
  };
  const [red, gray] = await Promise.all([timeOf(pair.red), timeOf(pair.gray)]);
  return { red, gray };
}

function describe(times: Times): string {
  return `${times.red} ms in red, ${times.gray} ms in gray`;
}
