import type { ByteReceiver, ByteStream, EndpointSide, StreamEnd } from '@routy/link/streams';
import { errorText } from '@routy/proto/base';
import type { StreamCode } from '@routy/proto/wire';
import type { NativeSocket, SocketHandlers } from './native-socket.ts';

/** Lent bytes are written at once from so many on. */
const ABSORBED_MIN = 16 * 1024;

/** What a target said before it went may go first as long as the client takes some of it, in ms. */
const PATIENCE_MS = 10_000;

/** What came before a reset goes out as long as whoever reads it takes some of it, in ms. */
const LAST_BYTES_MS = 5_000;

/**
 * A native socket that a stream ends in: what `SocketEndpoint` of `link` is for sockets of Node, and the
 * same to both of its ends. The socket is the endpoint's, and paused until the stream takes bytes.
 */
export class NativeEndpoint implements ByteReceiver, SocketHandlers {
  readonly #socket: NativeSocket;
  readonly #isClient: boolean;
  readonly #onEnd: (end: StreamEnd) => void;
  #stream: ByteStream | undefined;
  #isEndTold = false;
  #finReceived = false;
  #isOver = false;
  #isFlushDue = false;
  #bytesIn = 0;
  #bytesReported = 0;
  #bytesOut = 0;
  /** The peer's reset, which waits until the socket has taken what came before it. */
  #lastReset: { readonly code: StreamCode; readonly reason: string } | undefined;
  #patience: NodeJS.Timeout | undefined;

  /** `onEnd` is called exactly once, last. */
  constructor(socket: NativeSocket, side: EndpointSide, onEnd: (end: StreamEnd) => void) {
    this.#socket = socket;
    this.#isClient = side === 'client';
    this.#onEnd = onEnd;
    socket.pause();
    socket.bind(this);
  }

  /** {@link ByteReceiver} */
  get untouched(): boolean {
    return this.#bytesOut === 0 && !this.#socket.endRead;
  }

  attach(stream: ByteStream): void {
    this.#stream = stream;
    if (this.#socket.endRead) this.#endKnown();
  }

  detach(): void {
    this.pause();
    this.#stream = undefined;
  }

  data(bytes: Uint8Array): void {
    this.#bytesIn += bytes.length;
    this.#socket.write(bytes);
    this.#flushLater();
  }

  /** From the memory of the lane to the system: only what that does not take is copied. */
  absorb(bytes: Uint8Array): number {
    // Small pieces are written together at the end of the round.
    if (bytes.length < ABSORBED_MIN || this.#socket.queuedBytes > 0 || this.#isOver) return 0;
    this.#bytesIn += bytes.length;
    this.#socket.writeThrough(bytes);
    this.#flushLater();
    return bytes.length;
  }

  flush(): void {
    this.#isFlushDue = false;
    if (this.#isOver) return;
    this.#socket.flush();
    this.#reportDelivered();
  }

  fin(): void {
    this.#finReceived = true;
    this.#socket.end();
    this.#reportDelivered();
  }

  writable(): void {
    this.#socket.resume();
  }

  pause(): void {
    this.#socket.pause();
  }

  finished(): void {
    this.#finish(true, undefined, 'closed by both sides');
  }

  reset(code: StreamCode, reason: string): boolean {
    if (this.#isOver) return true;
    if (code === 'connection-reset' && this.#lastReset === undefined) {
      this.flush();
      if (this.#isOver) return true;
      if (this.#socket.queuedBytes > 0) {
        this.#lastReset = { code, reason };
        this.#awaitLastBytes();
        return false;
      }
    }
    this.#finish(false, code, reason);
    this.#socket.reset();
    return true;
  }

  /** The socket was closed here, over the head of its stream. */
  cut(): void {
    if (this.#isOver) return;
    const isUnread = this.#isClient && this.#socket.isPaused;
    this.#resetByOther('connection closed', isUnread ? 'cancelled' : 'connection-reset');
  }

  /** {@link SocketHandlers} */
  onData(bytes: Uint8Array): void {
    this.#bytesOut += bytes.length;
    if (!this.#stream!.write(new Uint8Array(bytes))) this.pause();
  }

  onEnd(): void {
    if (!this.#isOver) this.#endKnown();
  }

  onWritten(): void {
    if (this.#isOver) return;
    this.#reportDelivered();
    if (this.#lastReset === undefined) return;
    if (this.#socket.queuedBytes === 0) this.#resetAtLast();
    else this.#awaitLastBytes();
  }

  onFinished(): void {
    if (this.#isOver) return;
    this.#reportDelivered();
    if (this.#finReceived) this.#stream!.finDelivered();
  }

  onWritingDied(): void {
    if (this.#isOver) return;
    this.#reportDelivered();
    if (this.#lastReset !== undefined) this.#resetAtLast();
    else if (this.#socket.endRead) this.#endKnown();
  }

  onError(error: NodeJS.ErrnoException): void {
    if (this.#isOver) return;
    const isUnread = this.#isClient && this.#socket.isPaused;
    this.#resetByOther(errorText(error), isUnread ? 'cancelled' : 'connection-reset');
  }

  /** What a client sent and the session has no credit for is not waited for; a target's last words are. */
  onGone(): void {
    if (this.#isOver) return;
    if (this.#isClient) this.#resetByOther('the client is gone', 'cancelled');
    else this.#awaitReading();
  }

  #flushLater(): void {
    if (this.#isFlushDue) return;
    this.#isFlushDue = true;
    this.#stream!.flushLater();
  }

  /** The socket's bytes are all read, and whether its other end has reset behind them is known. */
  #endKnown(): void {
    // Between two streams: the next one is told.
    if (this.#stream === undefined) return;
    const death = this.#socket.writingError;
    // EPIPE: it closed before it reset what came for it then. Its end is one, and then the reset.
    if (!this.#isEndTold && (death === undefined || death.code === 'EPIPE')) {
      this.#isEndTold = true;
      this.#stream.end();
    }
    if (death !== undefined) this.#resetByOther(errorText(death));
  }

  #resetByOther(reason: string, code: StreamCode = 'connection-reset'): void {
    this.#stream?.reset(code, reason);
    this.#finish(false, 'connection-reset', reason);
    this.#socket.reset();
  }

  /** Tells the session what the system has taken since the last time. */
  #reportDelivered(): void {
    if (this.#isOver || this.#socket.isClosed) return;
    const bytes = this.#bytesIn - this.#socket.queuedBytes - this.#bytesReported;
    if (bytes <= 0) return;
    this.#bytesReported += bytes;
    this.#stream!.delivered(bytes);
  }

  /** Begins anew with each byte that is taken. */
  #awaitLastBytes(): void {
    clearTimeout(this.#patience);
    this.#patience = setTimeout(() => this.#resetAtLast(), LAST_BYTES_MS);
  }

  #resetAtLast(): void {
    if (this.#isOver) return;
    const { code, reason } = this.#lastReset!;
    this.#stream!.reset('cancelled', 'what came before the reset was not taken');
    this.#finish(false, code, reason);
    this.#socket.reset();
  }

  /** A target is gone, and what it said last waits for a client that takes nothing. */
  #awaitReading(): void {
    const before = this.#bytesOut;
    this.#patience = setTimeout(() => {
      if (this.#isOver) return;
      if (this.#bytesOut === before) this.#resetByOther('the target is gone', 'cancelled');
      else this.#awaitReading();
    }, PATIENCE_MS).unref();
  }

  #finish(ok: boolean, code: StreamCode | undefined, reason: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    clearTimeout(this.#patience);
    this.#onEnd({ ok, code, reason, bytesIn: this.#bytesIn, bytesOut: this.#bytesOut });
  }
}
