export {
  type LaneDirection,
  type MemoryLanes,
  type MemoryLanesOptions,
  memoryLanes,
} from './memory-lane.ts';
export type { LaneFaults } from './memory-link.ts';
