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
