import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { rssOf } from '../../../bench/measure.ts';
import { AdminClient } from '../../../packages/routy/src/admin/client.ts';
import { until } from '../../support/process.ts';
import type { RoutyNode } from '../../support/nodes/routy.ts';
import { type Ground, SIDES } from './resume-world.ts';

/** Between two looks at the buffers. */
export const LOOK_MS = 100;
/** A little longer than the time between two collections of a node. */
const COLLECTION_MS = 6_000;
/** It falls no more when it falls by less. */
const SETTLED_SHARE = 0.01;
/** After a load: a node is done with its collections long before. */
const SETTLE_MS_MAX = 60_000;

/** What both nodes hold together, in bytes. */
export interface Memory {
  readonly rss: number;
  /** Of JavaScript: the heap and the buffers outside of it. */
  readonly heap: number;
}

export async function memoryOf(ground: Ground): Promise<Memory> {
  const heaps = await Promise.all(SIDES.map((side) => heapBytes(ground.pair[side])));
  return { rss: rss(ground), heap: heaps.reduce((sum, bytes) => sum + bytes, 0) };
}

/**
 * The same when the nodes' collections after a load are over.
 * @throws when they leave a heap of more than `heapMax` bytes.
 */
export async function settledMemoryOf(ground: Ground, heapMax: number): Promise<Memory> {
  const deadlineMs = SETTLE_MS_MAX;
  let last = await until(
    'the heaps are collected',
    async () => {
      const now = await memoryOf(ground);
      if (now.heap > heapMax) throw new Error(`${now.heap} bytes of heap, not ${heapMax}`);
      return now;
    },
    { deadlineMs, intervalMs: 500 },
  );
  await until(
    'the memory of both nodes falls no more',
    async () => {
      await sleep(COLLECTION_MS);
      const before = last;
      last = await memoryOf(ground);
      return last.rss >= before.rss * (1 - SETTLED_SHARE);
    },
    { deadlineMs },
  );
  return last;
}

/** What the sessions of both nodes hold, as their status tells. */
export async function bufferedBytes({ pair }: Ground): Promise<number> {
  const [red, gray] = await Promise.all([pair.red.status(), pair.gray.status()]);
  return red.buffers.usedBytes + gray.buffers.usedBytes;
}

export interface MemoryWatch {
  readonly mostBuffered: { red: number; gray: number };
  mostRss: number;
  looks: number;
  /** Rejects when a look failed. */
  stop(): Promise<void>;
}

/** Looks at the buffers and the memory of both nodes until stopped. */
export function watchMemory(ground: Ground): MemoryWatch {
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
  const watch: MemoryWatch = {
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

const HEAP_METRICS = ['nodejs_heap_size_used_bytes', 'nodejs_external_memory_bytes'];

async function heapBytes({ home }: RoutyNode): Promise<number> {
  const text = await new AdminClient(join(home.state, 'admin.sock')).metricsText();
  return HEAP_METRICS.reduce((sum, name) => {
    const value = new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1];
    if (value === undefined) throw new Error(`${home.name} has no ${name}`);
    return sum + Number(value);
  }, 0);
}

function rss({ pair }: Ground): number {
  const { red, gray } = rssOf({ red: [pair.red.daemon.pid], gray: [pair.gray.daemon.pid] });
  return red + gray;
}
