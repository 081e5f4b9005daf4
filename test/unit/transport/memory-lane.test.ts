import { laneCompliance } from '../../support/lanes/lane-compliance.ts';
import { memoryLanePair } from '../../support/lanes/memory-pair.ts';

laneCompliance('memory', async () => memoryLanePair());
laneCompliance('memory with latency', async () => memoryLanePair({ latencyMs: 1 }));
laneCompliance('memory in odd pieces', async () => memoryLanePair({ chunkBytes: () => 1021 }));
