import { setTimeout as pause } from 'node:timers/promises';
import type { Statistics, StatisticsSnapshot } from './statistics.ts';

/**
 * A snapshot at every heartbeat until `signal` fires; the sequence then ends without an error. Who
 * takes its time gets the next one later, never a heap of old ones.
 */
export async function* subscribe(
  statistics: Statistics,
  signal: AbortSignal,
): AsyncGenerator<StatisticsSnapshot, void, void> {
  while (!signal.aborted) {
    try {
      await pause(statistics.heartbeatIntervalMs, undefined, { signal });
    } catch (error) {
      if (signal.aborted) return;
      throw error;
    }
    yield statistics.snapshot();
  }
}
