import { memoryLanes } from '../../../packages/link/src/testing/memory-lane.ts';
import type { LaneFaults } from '../../../packages/link/src/testing/memory-link.ts';
import { laneCompliance } from '../../support/lanes/lane-compliance.ts';
import type { LanePair } from '../../support/lanes/lane-pair.ts';

const dialler = { fabric: 'fabric1', site: 'red', node: 'red1' };
const listener = { fabric: 'fabric1', site: 'gray', node: 'gray1' };

async function pairWith(faults: LaneFaults): Promise<LanePair> {
  const { dialled, accepted } = memoryLanes({ dialler, listener, faults });
  const close = async () => {
    dialled.destroy();
    accepted.destroy();
  };
  return { dialled, accepted, close };
}

laneCompliance('memory', () => pairWith({}));
laneCompliance('memory with latency', () => pairWith({ latencyMs: 1 }));
laneCompliance('memory in odd pieces', () => pairWith({ chunkBytes: () => 1021 }));
