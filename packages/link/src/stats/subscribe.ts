import { setTimeout as pause } from 'node:timers/promises';
import { following } from '../transport/deadline.ts';
import type { Statistics, StatisticsSnapshot } from './statistics.ts';

/**
 * A snapshot at every heartbeat until `signal` fires or the link is closed; the sequence then ends without
 * an error. Who takes its time gets the next one later, never a heap of old ones.
 */
export async function* subscribe(
  statistics: Statistics,
  signal?: AbortSignal,
): AsyncGenerator<StatisticsSnapshot, void, void> {
  const { controller, leave } = following(signal, statistics.over);
  const over = controller.signal;
  try {
    while (!over.aborted) {
      await pause(statistics.heartbeatIntervalMs, undefined, { signal: over }).catch(() => {});
      if (!over.aborted) yield statistics.snapshot();
    }
  } finally {
    leave();
  }
}
