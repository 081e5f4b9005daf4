import { setFlagsFromString } from 'node:v8';

/**
 * Sets the garbage collector up for a process that moves bytes; see docs/adr/0006.
 *
 * V8 counts every read buffer as external memory. With a heap as small as a node's, that alone
 * starts incremental marking after each collection of the young generation: at full load dozens of
 * times a second, which took half of the throughput and made pauses of 20 ms. Without it the old
 * generation is collected when it is full, which is rare: bytes in transit die young.
 */
export function tuneGarbageCollector(): void {
  setFlagsFromString('--no-incremental-marking');
}
