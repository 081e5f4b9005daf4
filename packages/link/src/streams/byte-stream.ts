import type { Identity } from '@routy/proto/base';
import type { StreamCode } from '@routy/proto/wire';

/**
 * The session's side of one stream: what whoever uses the stream says to it. Offsets, replay and
 * lanes are the session's; here there are bytes in order, two ends and a reset.
 */
export interface ByteStream {
  /** Unique in its session for as long as the session lives. */
  readonly id: number;
  /** Who is at the other end. */
  readonly peer: Identity;
  /** What is spoken on it, as its opener named it. */
  readonly protocol: string;
  /** What was asked for beside the protocol. */
  readonly service: string;
  /**
   * Sends bytes, without a copy: they are not to be changed any more. They are taken in any case;
   * false: write no more until {@link ByteReceiver.writable}.
   */
  write(chunk: Uint8Array): boolean;
  /** Half-closes: the peer gets its `fin` behind the bytes written so far. */
  end(): void;
  /** Ends both directions at once. The receiver is not called any more. */
  reset(code: StreamCode, reason: string): void;
  /**
   * So many more of the bytes that came have reached where they go. It is this that lets the peer
   * forget them and send more: bytes that are not said to be delivered are the back pressure.
   */
  delivered(bytes: number): void;
  /** The end that came with `fin` has reached where it goes, and all bytes before it. */
  finDelivered(): void;
  /** Asks for {@link ByteReceiver.flush} once, when all bytes of this round have come. */
  flushLater(): void;
}

/**
 * The user's side of one stream: what the session says to it. It is told everything from within the
 * session's round, so it must not throw and not take long. After `finished`, or a `reset` that it
 * answered with true, it is not called any more and calls nothing of its stream.
 */
export interface ByteReceiver {
  /**
   * Nothing of what it has to send was taken yet, neither a byte nor its end: it may be detached
   * and attached to another stream, as when another node serves it.
   */
  readonly untouched: boolean;
  /** Joins it to its stream. It may write as soon as it is `writable`, not before. */
  attach(stream: ByteStream): void;
  /** Parts it from its stream. Called only while it is `untouched`; another `attach` may follow. */
  detach(): void;
  /** Bytes of the peer: a view that is the receiver's to keep, and not to change. */
  data(bytes: Uint8Array): void;
  /**
   * In place of `data`, where there is one and the memory of the bytes is used again when this returns: how
   * many of them, from the first on, were copied to where they go. The others come by `data`. It may ask for
   * `flush`, and calls nothing else of its stream.
   */
  absorb?(bytes: Uint8Array): number;
  /** All bytes of this round have come; called where {@link ByteStream.flushLater} asked for it. */
  flush(): void;
  /** The peer half-closed: no more bytes come. */
  fin(): void;
  /** The stream takes bytes, for the first time or again. */
  writable(): void;
  /** The stream takes no bytes until it is `writable`, though it said nothing of it in `write`. */
  pause(): void;
  /** Both directions have ended in order, and the peer has all. */
  finished(): void;
  /**
   * The stream was reset, by the peer or because it cannot go on. False: what came before it goes
   * to its destination first, and then the receiver resets its stream itself.
   */
  reset(code: StreamCode, reason: string): boolean;
}
