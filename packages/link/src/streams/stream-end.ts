import type { StreamCode } from '@routy/proto/wire';

/** How a stream ended: `ok` when both directions ended cleanly. */
export interface StreamEnd {
  /** Both directions ended in order. */
  readonly ok: boolean;
  /** Why it was reset; undefined where it was not. */
  readonly code: StreamCode | undefined;
  /** One line for people. */
  readonly reason: string;
  /** Bytes that came out of the stream. */
  readonly bytesIn: number;
  /** Bytes that went into the stream. */
  readonly bytesOut: number;
}

/** Called once, when a stream has ended. */
export type StreamEndHandler = (end: StreamEnd) => void;
