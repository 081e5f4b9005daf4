import { monotonicMs } from '../monotonic.ts';

/** Bytes that arrive within this time of each other are remembered as one arrival. */
const MERGE_MS = 1;

/** When bytes arrived on a connection. */
export class Arrivals {
  bytes = 0;
  /** Of the first and the last byte of each arrival, in turn; ascending. */
  readonly #times: number[] = [];

  add(bytes: number, nowMs = monotonicMs()): void {
    this.bytes += bytes;
    const last = this.#times.length - 1;
    if (last >= 1 && nowMs - this.#times[last]! < MERGE_MS) this.#times[last] = nowMs;
    else this.#times.push(nowMs, nowMs);
  }

  /**
   * How long after `fromMs` (of {@link monotonicMs}) the longest silence ended that was under way
   * then or began within `withinMs`. Null when it has not ended: no byte has come since. Once no more
   * bytes can come (`ended`), what has come decides: the end itself is no silence.
   */
  silenceAfter(fromMs: number, withinMs: number, ended: boolean): number | null {
    const times = this.#times;
    let longest = { ms: -1, end: 0 };
    let lastEnd = fromMs;
    for (let at = 0; at < times.length; at += 2) {
      const begin = times[at]!;
      if (begin > fromMs) {
        const silence = begin - Math.max(lastEnd, fromMs);
        if (silence > longest.ms) longest = { ms: silence, end: begin };
      }
      lastEnd = times[at + 1]!;
      if (lastEnd > fromMs + withinMs) break;
    }
    if (!ended && lastEnd <= fromMs + withinMs) return null;
    return longest.ms < 0 ? 0 : longest.end - fromMs;
  }
}
