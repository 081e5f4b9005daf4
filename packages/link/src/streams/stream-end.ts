import type { StreamCode } from '@routy/proto/wire';

/** How a stream ended: `ok` when both directions ended cleanly. */
export interface StreamEnd {
  readonly ok: boolean;
  readonly code: StreamCode | undefined;
  readonly reason: string;
  readonly bytesIn: number;
  readonly bytesOut: number;
}

export type StreamEndHandler = (end: StreamEnd) => void;
