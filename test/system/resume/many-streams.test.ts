import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { partition } from '../../support/namespaces/namespace-faults.ts';
import { until } from '../../support/process.ts';
import {
  bufferedBytes,
  LOOK_MS,
  type Memory,
  memoryOf,
  settledMemoryOf,
  watchMemory,
} from './memory.ts';
import {
  ECHO_PORT,
  type Ground,
  openedBy,
  SIDES,
  sessionsOf,
  startGround,
} from './resume-world.ts';
import { systemTest } from '../world.ts';

const STREAMS = 1_000;
const GONE_MS = 10_000;
const MIB = 1024 * 1024;
const BUDGET_BYTES = 64 * MIB;
/** Of each stream; all together it is twice the budget each way. */
const FLOOD_BYTES = 128 * 1024;
const FABRIC = { heartbeat_interval: '"1s"', heartbeat_misses: '3' };
const LIMITS = { session_buffer: '"64MiB"', process_buffer: '"64MiB"' };
/** What a node may hold beyond its buffers: what the sockets and the collector have not given up. */
const RSS_SLACK_BYTES = 128 * MIB;
/** What may be left of a cut once the nodes have collected, beside what there was before. */
const LEFT_RATIO_MAX = 1.2;

systemTest('1,000 streams open during a cut of 10 s', { timeoutMs: 240_000 }, async (world) => {
  const ground = await startGround(world, { settings: { fabric: FABRIC, limits: LIMITS } });
  const sessions = await sessionsOf(ground);
  const fresh = await memoryOf(ground);
  const heapMax = fresh.heap * LEFT_RATIO_MAX;
  let uncut = fresh;
  await world.step('the same streams and bytes without a cut', async () => {
    await carry(ground, async (flood) => flood());
    uncut = await settledMemoryOf(ground, heapMax);
  });
  await world.step('with a cut of 10 s', () => carryOverCut(ground));
  assert.deepEqual(await sessionsOf(ground), sessions);
  assert.equal(await openedBy(ground.pair.gray), 2 * STREAMS);
  const after = await settledMemoryOf(ground, heapMax);
  world.note(`fresh: ${describe(fresh)}; without a cut: ${describe(uncut)}`);
  world.note(`after the cut: ${describe(after)}`);
  // What malloc keeps of a load it keeps without a cut as well; the heap is as in a fresh node.
  assert.ok(after.rss <= uncut.rss * LEFT_RATIO_MAX, 'RSS is not as before the cut');
});

/** The path is gone for 10 s, and every stream is flooded meanwhile. */
async function carryOverCut(ground: Ground): Promise<void> {
  const { world } = ground;
  const { rss: rssBefore } = await memoryOf(ground);
  const watch = watchMemory(ground);
  world.defer(() => watch.stop());
  const doneMs = await carry(ground, async (flood) => {
    const fault = await partition(world.network);
    await flood();
    await sleep(GONE_MS);
    await fault.heal();
  });
  await watch.stop();
  world.note(`all of ${STREAMS} streams complete ${Math.round(doneMs)} ms after the path is back`);
  const { mostBuffered, mostRss } = watch;
  world.note(`most bytes buffered: ${mostBuffered.red} in red, ${mostBuffered.gray} in gray`);
  world.note(`RSS of both: ${mib(rssBefore)} before, ${mib(mostRss)} at most`);
  assert.ok(watch.looks > GONE_MS / LOOK_MS / 4, 'the memory was not watched');
  for (const side of SIDES) {
    assert.ok(mostBuffered[side] > 0, `${side} never reported a buffered byte`);
    assert.ok(mostBuffered[side] <= BUDGET_BYTES, `${side} went over its budget`);
  }
  assert.ok(mostRss <= rssBefore + 2 * (BUDGET_BYTES + RSS_SLACK_BYTES), 'RSS grew too much');
}

/**
 * Opens the streams, floods them while `act` runs, and closes them when all bytes are back. Gives
 * how long that took after `act`, in ms.
 */
async function carry(
  ground: Ground,
  act: (flood: () => Promise<void>) => Promise<void>,
): Promise<number> {
  const { gray } = ground;
  const handle = await gray.call('openEchoes', {
    ...{ host: '127.0.0.1', port: ECHO_PORT },
    count: STREAMS,
  });
  await act(() => gray.call('floodEchoes', { handle, bytes: FLOOD_BYTES }));
  const startMs = performance.now();
  const { complete, wrong, ended } = await until(
    'every stream has its bytes back, or has ended',
    async () => {
      const now = await gray.call('echoesProgress', { handle });
      const over = Object.values(now.ended).reduce((sum, count) => sum + count, 0);
      return now.complete + now.wrong + over >= STREAMS ? now : undefined;
    },
    { deadlineMs: 60_000 },
  );
  const doneMs = performance.now() - startMs;
  assert.deepEqual({ complete, wrong, ended }, { complete: STREAMS, wrong: 0, ended: {} });
  await gray.call('closeEchoes', { handle });
  await until('no stream is left', async () => (await openStreams(ground)) === 0);
  await until('nothing is buffered', async () => (await bufferedBytes(ground)) === 0);
  return doneMs;
}

async function openStreams({ pair }: Ground): Promise<number> {
  const [red, gray] = await Promise.all([pair.red.status(), pair.gray.status()]);
  const ofSessions = [...red.peers, ...gray.peers];
  return ofSessions.reduce((sum, { session }) => sum + (session?.streams ?? 0), 0);
}

function describe({ rss, heap }: Memory): string {
  return `RSS ${mib(rss)}, heap ${mib(heap)}`;
}

function mib(bytes: number): string {
  return `${Math.round(bytes / MIB)} MiB`;
}
