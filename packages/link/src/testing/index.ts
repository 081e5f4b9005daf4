/**
 * For the tests of the library's users: lanes in memory with faults and cuts, and checks that every
 * adapter of a stream has to pass.
 *
 * @module @routy/link/testing
 */
export {
  type AdapterCheck,
  type AdapterChecksOptions,
  type AdapterEnd,
  byteStreamChecks,
} from './byte-stream-checks.ts';
export {
  type LaneDirection,
  type MemoryLanes,
  type MemoryLanesOptions,
  memoryLanes,
} from './memory-lane.ts';
export type { LaneFaults } from './memory-link.ts';
export { type MemoryNetwork, memoryNetwork } from './memory-network.ts';
