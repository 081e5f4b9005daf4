/** Heartbeats after which what was before weighs 1/e. */
const MEMORY_INTERVALS = 3;

/**
 * Growth of a counter a second, as an exponentially weighted moving average. The weight of a sample
 * follows the time it covers, so that one that comes late or early does not bend the average.
 */
export class Ewma {
  readonly #memoryMs: number;
  #atMs: number;
  #total = 0;
  #perSecond: number | undefined;

  constructor(nowMs: number, intervalMs: number) {
    this.#memoryMs = MEMORY_INTERVALS * intervalMs;
    this.#atMs = nowMs;
  }

  get perSecond(): number {
    return this.#perSecond ?? 0;
  }

  update(nowMs: number, total: number): void {
    const elapsedMs = nowMs - this.#atMs;
    if (elapsedMs <= 0) return;
    const sample = ((total - this.#total) * 1000) / elapsedMs;
    const weight = 1 - Math.exp(-elapsedMs / this.#memoryMs);
    const before = this.#perSecond ?? sample;
    this.#perSecond = before + weight * (sample - before);
    this.#atMs = nowMs;
    this.#total = total;
  }
}
