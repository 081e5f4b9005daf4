import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { rssOf } from '../../bench/measure.ts';
import { partition } from '../support/namespace-faults.ts';
import { until } from '../support/process.ts';
import {
  ECHO_PORT,
  type Ground,
  openedBy,
  sessionsOf,
  SIDES,
  startGround,
} from './resume-world.ts';
import { systemTest } from './world.ts';

const STREAMS = 1_000;
const GONE_MS = 10_000;
const MIB = 1024 * 1024;
const BUDGET_BYTES = 64 * MIB;
/** Of each stream; all together it is twice the budget each way. */
const FLOOD_BYTES = 128 * 1024;
const FABRIC = { heartbeat_interval: '"1s"', heartbeat_misses: '3' };
const LIMITS = { session_buffer: '"64MiB"', process_buffer: '"64MiB"' };
const LOOK_MS = 100;
/** What a node may hold beyond its buffers: what the sockets and the collector have not given up. */
const RSS_SLACK_BYTES = 128 * MIB;

systemTest('1,000 streams open during a cut of 10 s', { timeoutMs: 180_000 }, async (world) => {
  const ground = await startGround(world, { settings: { fabric: FABRIC, limits: LIMITS } });
  const { gray } = ground;
  const where = { host: '127.0.0.1', port: ECHO_PORT };
  const before = await sessionsOf(ground);
  const usedBefore = await usedBytes(ground);
  const handle = await gray.call('openEchoes', { ...where, count: STREAMS });
  const rssBefore = rss(ground);
  const watch = watchMemory(ground);
  world.defer(() => watch.stop());

  const fault = await partition(world.network);
  await gray.call('floodEchoes', { handle, bytes: FLOOD_BYTES });
  await sleep(GONE_MS);
  await fault.heal();
  const backMs = performance.now();
  const progress = await until(
    'every stream has its bytes back, or has ended',
    async () => {
      const now = await gray.call('echoesProgress', { handle });
      const over = Object.values(now.ended).reduce((sum, count) => sum + count, 0);
      return now.complete + now.wrong + over >= STREAMS ? now : undefined;
    },
    { deadlineMs: 60_000 },
  );
  const doneMs = Math.round(performance.now() - backMs);
  world.note(
    `${progress.complete} of ${STREAMS} streams complete ${doneMs} ms after the path is back`,
  );
  await watch.stop();
  world.note(
    `most bytes buffered: ${watch.mostBuffered.red} in red, ${watch.mostBuffered.gray} in gray`,
  );
  world.note(
    `RSS of both: ${mib(rssBefore)} before, ${mib(watch.mostRss)} at most, ${mib(rss(ground))} after`,
  );
  assert.deepEqual(
    { complete: progress.complete, wrong: progress.wrong, ended: progress.ended },
    { complete: STREAMS, wrong: 0, ended: {} },
  );
  assert.deepEqual(await sessionsOf(ground), before);
  assert.equal(await openedBy(ground.pair.gray), STREAMS);
  assert.ok(watch.looks > GONE_MS / LOOK_MS / 4, 'the memory was not watched');
  for (const side of SIDES) {
    assert.ok(watch.mostBuffered[side] > 0, `${side} never reported a buffered byte`);
    assert.ok(watch.mostBuffered[side] <= BUDGET_BYTES, `${side} went over its budget`);
  }
  assert.ok(watch.mostRss <= rssBefore + 2 * (BUDGET_BYTES + RSS_SLACK_BYTES), 'RSS grew too much');
  await gray.call('closeEchoes', { handle });
  await until('no stream is left', async () => (await openStreams(ground)) === 0);
  await until('the buffers are as before', async () => (await usedBytes(ground)) <= usedBefore);
});

interface Watch {
  readonly mostBuffered: { red: number; gray: number };
  mostRss: number;
  looks: number;
  /** Rejects when a look failed. */
  stop(): Promise<void>;
}

/** Looks at the buffers and the memory of both nodes until stopped. */
function watchMemory(ground: Ground): Watch {
  let stopped = false;
  const look = async (): Promise<void> => {
    for (const side of SIDES) {
      const { buffers } = await ground.pair[side].status();
      watch.mostBuffered[side] = Math.max(watch.mostBuffered[side], buffers.usedBytes);
    }
    watch.mostRss = Math.max(watch.mostRss, rss(ground));
    watch.looks += 1;
  };
  const lookOn = async (): Promise<void> => {
    while (!stopped) {
      await look();
      await sleep(LOOK_MS);
    }
  };
  const ended = lookOn();
  // Reported by `stop`; until then nobody waits for it.
  ended.catch(() => {});
  const watch: Watch = {
    mostBuffered: { red: 0, gray: 0 },
    mostRss: 0,
    looks: 0,
    stop: () => {
      stopped = true;
      return ended;
    },
  };
  return watch;
}

async function usedBytes({ pair }: Ground): Promise<number> {
  const [red, gray] = await Promise.all([pair.red.status(), pair.gray.status()]);
  return red.buffers.usedBytes + gray.buffers.usedBytes;
}

async function openStreams({ pair }: Ground): Promise<number> {
  const [red, gray] = await Promise.all([pair.red.status(), pair.gray.status()]);
  const ofSessions = [...red.peers, ...gray.peers];
  return ofSessions.reduce((sum, { session }) => sum + (session?.streams ?? 0), 0);
}

function rss({ pair }: Ground): number {
  const { red, gray } = rssOf({ red: [pair.red.daemon.pid], gray: [pair.gray.daemon.pid] });
  return red + gray;
}

function mib(bytes: number): string {
  return `${Math.round(bytes / MIB)} MiB`;
}
