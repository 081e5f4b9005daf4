/**
 * Counts and rates of streams, conversations and sessions, summed by class.
 *
 * @module @routy/link/stats
 */
export { ClockDrift } from './clock-drift.ts';
export {
  type ClassSnapshot,
  type Counters,
  type Meter,
  type MeterKind,
  type MeterSnapshot,
  OTHER_CLASS,
  type Rates,
  Statistics,
  type StatisticsOptions,
  type StatisticsSnapshot,
} from './statistics.ts';
export { subscribe } from './subscribe.ts';
