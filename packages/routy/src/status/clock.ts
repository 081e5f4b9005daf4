/** A wall clock that differs by less from the one before was slewed, not set, in ms. */
const STEP_MS = 100;

let stepMs = 0;

/**
 * Unix ms as of the start of the process: setting the wall clock does not move it, so durations and
 * waiting times stay true. For people it becomes wall time by {@link isoTime}.
 */
export function nodeClockMs(): number {
  return performance.timeOrigin + performance.now();
}

/** A moment of {@link nodeClockMs} as the wall clock has it now, ISO 8601. */
export function isoTime(atMs: number): string {
  const differsMs = Date.now() - nodeClockMs();
  // Not at every look: the same moment would be told a millisecond earlier or later each time.
  if (Math.abs(differsMs - stepMs) >= STEP_MS) stepMs = differsMs;
  return new Date(Math.round(atMs + stepMs)).toISOString();
}
