import type { Offer } from '@routy/proto/session';
import type { OpenRequest } from '../../driver/driver-types.ts';

/** What a stream is opened for. */
export interface StreamRequest {
  /** Name of the protocol, 1 to 63 of a-z, 0-9, '-'. */
  readonly protocol: string;
  /**
   * Those that this side speaks, 1 to 65535, at most 32; version 1 alone by default. The highest common
   * one is picked.
   */
  readonly versions?: readonly number[];
  /** Optional parts that this side can use, at most 64 of at most 64 characters; none by default. */
  readonly capabilities?: readonly string[];
  /** What it is for, beside the protocol: text of at most 255 characters, a key say; `main` by default. */
  readonly service?: string;
  /** What its counts are summed by; the protocol's name when left out. */
  readonly class?: string;
  /** How long the peer may take to answer while a lane carries the session, in ms; 10 s by default. */
  readonly answerMs?: number;
}

/** An OPEN names a service in any case. */
export const NO_SERVICE = 'main';

/** What a request offers. */
export function offerOf({ versions = [1], capabilities = [] }: StreamRequest): Offer {
  return { versions, capabilities };
}

/** OPEN for a request. */
export function openRequest(request: StreamRequest): OpenRequest {
  const { protocol, service = NO_SERVICE } = request;
  return { protocol, ...offerOf(request), service };
}
