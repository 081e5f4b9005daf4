import { performance } from 'node:perf_hooks';
import type { SessionEvent } from '@routy/proto/session';
import type { LaneLink } from './lanes/lane-link.ts';

/** Events are dispatched for about so long at a time, in ms: one may begin a connection. */
const SLICE_MS = 1;
/** What connecting to a target costs comes so often again, in callbacks that nobody measures. */
const CONNECT_AFTERMATH = 6;

/** What was done: an event of that kind was dispatched, or sockets were given what had come. */
export type Dispatched = SessionEvent['kind'] | 'flushed' | 'nothing';

/**
 * Calls `dispatchNext` while there is something to do and others are not held up by it; `isUrgent`:
 * all of it is done now. False: some is left for a later round.
 */
export function dispatchSlice(
  link: LaneLink,
  dispatchNext: () => Dispatched,
  isUrgent: () => boolean,
): boolean {
  const startMs = performance.now();
  for (let nowMs = startMs; nowMs - startMs < SLICE_MS || isUrgent(); ) {
    const done = dispatchNext();
    if (done === 'nothing') return true;
    const sinceMs = nowMs;
    nowMs = performance.now();
    if (done === 'opened') link.charge(CONNECT_AFTERMATH * (nowMs - sinceMs));
  }
  return false;
}
