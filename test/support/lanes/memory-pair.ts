import {
  type MemoryLanes,
  type MemoryLanesOptions,
  memoryLanes,
} from '../../../packages/link/src/testing/memory-lane.ts';
import type { LaneFaults } from '../../../packages/link/src/testing/memory-link.ts';
import type { LanePair } from './lane-pair.ts';

const dialler = { fabric: 'fabric1', site: 'red', node: 'red1' };
const listener = { fabric: 'fabric1', site: 'gray', node: 'gray1' };

/** Both ends of a lane in memory from red1 to gray1, and the faults between them. */
export function testMemoryLanes(
  options: Pick<MemoryLanesOptions, 'faults' | 'timers'> = {},
): MemoryLanes {
  return memoryLanes({ dialler, listener, ...options });
}

/** The same as every other pair of lanes. */
export function memoryLanePair(faults: LaneFaults = {}): LanePair {
  const { dialled, accepted } = testMemoryLanes({ faults });
  return {
    dialled,
    accepted,
    close: async () => {
      dialled.destroy();
      accepted.destroy();
    },
  };
}
