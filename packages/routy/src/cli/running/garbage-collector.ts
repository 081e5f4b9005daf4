import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { libc } from '@routy/link/transport';

/** How often the node's memory is looked at, in ms: garbage comes at 200 MB a second at worst. */
const LOOK_INTERVAL_MS = 250;

/** In so many of these intervals the node's work is looked at once. */
const LOOKS_OF_WORK = 20;

/** For so many times as long as a collection took, there is none. */
const PAUSE_RATIO = 8;

/** Work between two looks at it that is more than a calm node's; see {@link workOf}. */
const BUSY_WORK = 1_000;

/**
 * Collections in a row: an object is let go by one, the memory under it by the next, and V8 gives
 * pages back with the last. Of 70 MB that three gave back the first was seen to give four.
 */
const COLLECTIONS = 3;

/** Time between those that are made because memory has grown, in ms. */
const ROW_INTERVAL_MS = 1_000;

/** Memory beside what sessions hold that is looked at closely: twice an idle node's, in bytes. */
const LARGE_BYTES = 160 * 1024 * 1024;

/** So much beyond what the last collection has left, in bytes, it is time for another one. */
const GROWTH_BYTES = 32 * 1024 * 1024;

/** What a node has done since it started. */
export interface WorkDone {
  readonly streams: number;
  readonly bytes: number;
}

/** The same, and what its sessions hold now in bytes. */
export interface Work extends WorkDone {
  readonly heldBytes: number;
}

/**
 * Sets the garbage collector up for a process that moves bytes; see docs/adr/0006.
 *
 * V8 counts every read buffer as external memory. With a heap as small as a node's, that alone
 * starts incremental marking after each collection of the young generation: at full load dozens of
 * times a second, which took half of the throughput and made pauses of 20 ms. Without it the old
 * generation is collected when it is full, which is rare: bytes in transit die young. Nothing is
 * collected any more once the load is over, though, so that is done here, while nobody waits. What
 * is then free within malloc goes back to the system, where that can be asked for; see
 * docs/adr/0032. Under a load that makes much garbage the same is done when memory has grown: the
 * collector knows of the heap's limit, but not of the machine's.
 *
 * @returns a function that ends it
 */
export function tuneGarbageCollector(work: () => Work): () => void {
  setFlagsFromString('--no-incremental-marking');
  const collect = collector();
  const trimMemory = libc()?.trimMemory;
  const calm = new CalmAfterLoad(work());
  const growth = new Growth();
  let looks = 0;
  let notBeforeMs = 0;
  const timer = setInterval(() => {
    const nowMs = performance.now();
    const isDue = ++looks % LOOKS_OF_WORK === 0 && calm.collectionDue(work());
    if (nowMs < notBeforeMs && !isDue) return;
    const hasGrown = growth.collectionDue(nowMs, process.memoryUsage.rss(), () => work().heldBytes);
    if (!isDue && !hasGrown) return;
    collect();
    if (calm.isOver || hasGrown) trimMemory?.();
    const endMs = performance.now();
    growth.collected(endMs, process.memoryUsage.rss(), work().heldBytes);
    notBeforeMs = endMs + PAUSE_RATIO * (endMs - nowMs);
  }, LOOK_INTERVAL_MS);
  timer.unref();
  return () => clearInterval(timer);
}

/** Says when to collect: a few times in the calm after a load, and never during one. */
export class CalmAfterLoad {
  #before: number;
  #due = 0;

  constructor(workDone: WorkDone) {
    this.#before = workOf(workDone);
  }

  /** The collection that was due last was the last of this calm. */
  get isOver(): boolean {
    return this.#due === 0;
  }

  /** To be asked once an interval, with all that was done up to now. */
  collectionDue(workDone: WorkDone): boolean {
    const now = workOf(workDone);
    const busy = now - this.#before > BUSY_WORK;
    this.#before = now;
    if (busy) this.#due = COLLECTIONS;
    if (busy || this.#due === 0) return false;
    this.#due -= 1;
    return true;
  }
}

/** Says when a process that has no calm has grown so much that it should be collected all the same. */
export class Growth {
  #limit = LARGE_BYTES;
  #due = 0;
  #nextMs = 0;

  /**
   * To be asked at each look, with the time, all memory in use and what sessions hold of it, in
   * bytes; it is true once, and some times again later. What buffers take beyond what is held is
   * garbage like any other.
   */
  collectionDue(nowMs: number, rss: number, held: () => number): boolean {
    const hasGrown = rss > this.#limit && rss - held() > this.#limit;
    if (hasGrown) this.#due = COLLECTIONS;
    return hasGrown || (this.#due > 0 && nowMs >= this.#nextMs);
  }

  /** To be told what is left after each collection. */
  collected(nowMs: number, rss: number, held: number): void {
    if (this.#due > 0) this.#due -= 1;
    this.#nextMs = nowMs + ROW_INTERVAL_MS;
    this.#limit = Math.max(LARGE_BYTES, rss - held + GROWTH_BYTES);
  }
}

/** Streams and the 64 KiB that one read brings weigh about the same. */
function workOf({ streams, bytes }: WorkDone): number {
  return streams + bytes / 65_536;
}

/** V8's own `gc` function, without having to be started with a flag. */
function collector(): () => void {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as () => void;
}
