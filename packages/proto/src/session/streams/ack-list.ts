import type { Stream } from './stream.ts';

/** How long an acknowledgement that grants no needed credit may wait for company. */
const DELAY_MS = 50;

const NONE: readonly Stream[] = [];

/** Streams that owe the peer an acknowledgement, which may wait a little. */
export class AckList {
  #streams: Stream[] = [];
  #atMs: number | undefined;

  get deadlineMs(): number | undefined {
    return this.#atMs;
  }

  add(nowMs: number, stream: Stream): void {
    if (stream.ackListed) return;
    stream.ackListed = true;
    this.#streams.push(stream);
    this.#atMs ??= nowMs + DELAY_MS;
  }

  /** All of them, once the wait is over; some may be gone or have been acknowledged since. */
  takeDue(nowMs: number): readonly Stream[] {
    if (this.#atMs === undefined || nowMs < this.#atMs) return NONE;
    const due = this.#streams;
    this.clear();
    for (const stream of due) stream.ackListed = false;
    return due;
  }

  clear(): void {
    this.#streams = [];
    this.#atMs = undefined;
  }
}
