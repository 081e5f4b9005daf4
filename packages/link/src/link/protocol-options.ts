import type { Peer } from './peer/peer.ts';
import type { LinkStream } from './session/link-stream.ts';

/** A protocol to be registered. It has `accept`, `reply` or both. */
export interface ProtocolOptions {
  /** 1 to 63 of a-z, 0-9, '-', not beginning or ending with '-'. */
  readonly name: string;
  /**
   * Versions that this side speaks, 1 to 65535, at most 32; version 1 alone by default. The highest one
   * that both ends speak is picked.
   */
  readonly versions?: readonly number[];
  /** Optional parts that this side can use, at most 64 of at most 64 characters; none by default. */
  readonly capabilities?: readonly string[];
  /** What its counts are summed by; its name when left out. */
  readonly class?: string;
  /**
   * Takes a stream that the peer has opened; both ends know what was agreed. What it throws, or
   * rejects with, resets the stream. Without it the peer may only ask for such streams.
   */
  accept?(stream: LinkStream, peer: Peer): void | Promise<void>;
  /** Takes a stream that this side has opened since the peer asked for it, for that `service`. */
  reply?(stream: LinkStream, peer: Peer, service: string): void | Promise<void>;
}
