import { setMaxListeners } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import type { Statistics, StatisticsSnapshot } from './statistics.ts';

/**
 * A snapshot at every heartbeat until `signal` fires or the link is closed; the sequence then ends without
 * an error. Who takes its time gets the next one later, never a heap of old ones.
 */
export async function* subscribe(
  statistics: Statistics,
  signal?: AbortSignal,
): AsyncGenerator<StatisticsSnapshot, void, void> {
  const { controller, leave } = firstOf(signal, statistics.over);
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

/** `AbortSignal.any` would leave something behind at a signal that lives long. */
function firstOf(...signals: readonly (AbortSignal | undefined)[]) {
  const controller = new AbortController();
  const stop = () => controller.abort();
  for (const each of signals) {
    if (each?.aborted) stop();
    // Each subscriber is one: they are no leak.
    if (each !== undefined) setMaxListeners(0, each);
    each?.addEventListener('abort', stop);
  }
  const leave = () => {
    for (const each of signals) each?.removeEventListener('abort', stop);
  };
  return { controller, leave };
}
