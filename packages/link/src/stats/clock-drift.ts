/** Samples that are kept: with heartbeats of 5 s, those of some five minutes. */
const SAMPLES_MAX = 64;
/** Fewer say nothing: round trips vary far more than clocks. */
const SAMPLES_MIN = 8;

/**
 * How fast the offset between two clocks grows, by the line through the last samples that fits best
 * (least squares). Memory is bounded; takes the time as an argument.
 */
export class ClockDrift {
  readonly #atMs: number[] = [];
  readonly #offsetMs: number[] = [];

  /** The clocks were so far apart at that moment; moments do not go back. */
  add(nowMs: number, offsetMs: number): void {
    this.#atMs.push(nowMs);
    this.#offsetMs.push(offsetMs);
    if (this.#atMs.length <= SAMPLES_MAX) return;
    this.#atMs.shift();
    this.#offsetMs.shift();
  }

  /** Parts per million: 1 is 3.6 ms an hour. Undefined while there are fewer than 8 samples. */
  get ppm(): number | undefined {
    const count = this.#atMs.length;
    if (count < SAMPLES_MIN) return undefined;
    const meanAt = mean(this.#atMs);
    const meanOffset = mean(this.#offsetMs);
    let spread = 0;
    let common = 0;
    for (let index = 0; index < count; index++) {
      const at = this.#atMs[index]! - meanAt;
      spread += at * at;
      common += at * (this.#offsetMs[index]! - meanOffset);
    }
    return spread === 0 ? undefined : (common / spread) * 1e6;
  }
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
