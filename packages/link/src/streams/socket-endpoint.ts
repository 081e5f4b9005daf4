import type { Socket } from 'node:net';
import { errorText } from '@routy/proto/base';
import { ByteQueue } from '@routy/proto/session';
import type { StreamCode } from '@routy/proto/wire';
import type { ByteReceiver, ByteStream } from './byte-stream.ts';
import { forgetAlive } from './keepalive.ts';
import { deathOf, keepReadable, WRITING_DIED } from './kept-readable.ts';
import { awaitLastBytes } from './last-bytes.ts';
import type { Seat } from './socket-rounds.ts';
import { isGone, type Watched, watch } from './socket-watch.ts';
import { isTcp, resetSocket } from './sockets.ts';
import type { StreamEndHandler } from './stream-end.ts';

const NOTHING = new Uint8Array(0);

/**
 * A client is reset at once when its target has gone, but for what the target said before: that may
 * go first as long as the client takes some of it in this time, in ms.
 */
const PATIENCE_MS = 10_000;

/** Whose socket it is: of the client of a forward, or of a service's target. */
export type EndpointSide = 'client' | 'target';

/** How listeners find the endpoint of the socket they are called on, without a closure each. */
const ENDPOINT = Symbol('endpoint');

type EndpointSocket = Socket & { [ENDPOINT]?: SocketEndpoint };

/**
 * A socket that a stream ends in: moves bytes, half-closes and resets between the two. The socket is
 * the endpoint's from the beginning, and paused until the stream takes bytes.
 */
export class SocketEndpoint implements ByteReceiver, Watched {
  readonly #socket: EndpointSocket;
  readonly #onEnd: StreamEndHandler;
  readonly #isClient: boolean;
  #stream: ByteStream | undefined;
  /** The end of the socket's bytes was read. */
  #endRead = false;
  /** Whether that was a half-close or a reset is known, too. */
  #isEndKnown = false;
  #endTold = false;
  /** The socket is not read: the stream has no credit, or is not open yet. */
  #isPaused = true;
  #patience: NodeJS.Timeout | undefined;
  /** What came while the socket does not take what it was given. */
  #waiting = new ByteQueue();
  #finReceived = false;
  #over = false;
  /** The first piece of this round; alone it is written without the detour of gathering. */
  #first: Uint8Array | undefined;
  #isCorked = false;
  #error: Error | undefined;
  /** The peer's reset, which waits until the socket has taken what came before it. */
  #lastReset: { readonly code: StreamCode; readonly reason: string } | undefined;
  #bytesOut = 0;
  /** Among the sockets that are asked whether they are gone. */
  readonly #seat: Seat<Watched>;
  /** What it was when the patience began: more by now is progress. */
  #bytesOutBefore = 0;
  /** Bytes that came for the socket, and how many of them the session knows to be written. */
  #bytesIn = 0;
  #bytesReported = 0;
  /** Writes whose end was not told yet. */
  #writesPending = 0;
  /** One for all chunks: progress made later than the write is reported here. */
  readonly #onWritten = () => {
    this.#writesPending--;
    this.#writeWaiting();
    this.reportDelivered();
    if (this.#lastReset !== undefined && this.#allTaken()) this.#resetAtLast();
  };
  /** With an error of another kind the socket closes, and that is told instead. */
  readonly #onEndKnown = (error: unknown) => {
    if (!error && !this.#over) this.#endKnown();
  };

  /** `onEnd` is called exactly once, last. */
  constructor(socket: Socket, side: EndpointSide, onEnd: StreamEndHandler) {
    this.#socket = socket;
    this.#socket[ENDPOINT] = this;
    this.#isClient = side === 'client';
    this.#onEnd = onEnd;
    keepReadable(socket);
    socket.pause();
    this.#seat = watch(this);
    socket.on('data', onSocketData);
    socket.on('end', onSocketEnd);
    socket.on('error', onSocketError);
    socket.on('close', onSocketClose);
    socket.on('finish', onSocketFinish);
    socket.on(WRITING_DIED, onSocketWritingDied);
  }

  /** True while no byte and no half-close of the socket was taken. */
  get untouched(): boolean {
    return this.#bytesOut === 0 && !this.#socket.readableEnded;
  }

  attach(stream: ByteStream): void {
    this.#stream = stream;
    if (this.#isEndKnown) this.#endKnown();
  }

  /** The socket stays as it is. */
  detach(): void {
    this.pause();
    this.#stream = undefined;
  }

  /** Bytes of the peer for the socket. */
  data(bytes: Uint8Array): void {
    const socket = this.#socket;
    this.#bytesIn += bytes.length;
    if (this.#mustWait(socket)) {
      this.#waiting.append(bytes);
      return;
    }
    if (this.#first === undefined) {
      this.#first = bytes;
      this.#stream!.flushLater();
      return;
    }
    if (!this.#isCorked) {
      this.#isCorked = true;
      socket.cork();
      this.#write(socket, this.#first);
    }
    this.#write(socket, bytes);
  }

  /** Writes what came in this round, as one gathered write when it was more than one piece. */
  flush(): void {
    const socket = this.#socket;
    const first = this.#first;
    this.#first = undefined;
    if (first === undefined) return;
    if (this.#isCorked) socket.uncork();
    else this.#write(socket, first);
    this.#isCorked = false;
    this.reportDelivered();
  }

  /** The peer half-closed. */
  fin(): void {
    this.#finReceived = true;
    this.flush();
    if (this.#waiting.bytes === 0) this.#socket.end();
  }

  /** The session takes bytes, for the first time or again. */
  writable(): void {
    this.#isPaused = false;
    this.#socket.resume();
  }

  pause(): void {
    this.#isPaused = true;
    this.#socket.pause();
  }

  /** The stream ended cleanly both ways; the socket closes by itself. */
  finished(): void {
    this.#finish(true, undefined, 'closed by both sides');
  }

  /**
   * The stream was reset, by the peer or because the session ended. False: not before the socket has
   * taken what a connection brought that was reset at the other end; the stream is told then.
   */
  reset(code: StreamCode, reason: string): boolean {
    if (this.#over) return true;
    if (code === 'connection-reset' && this.#lastReset === undefined) {
      this.flush();
      if (!this.#allTaken()) {
        this.#lastReset = { code, reason };
        awaitLastBytes(this.#socket, () => this.#resetAtLast());
        return false;
      }
    }
    this.#finish(false, code, reason);
    resetSocket(this.#socket);
    return true;
  }

  /** Tells the session what the operating system has taken since the last time. */
  reportDelivered(): void {
    const socket = this.#socket;
    if (this.#over || socket.destroyed) return;
    const queued = this.#waiting.bytes + socket.writableLength;
    const bytes = this.#bytesIn - queued - this.#bytesReported;
    // Below zero while the queue still holds what stood in it before the first byte.
    if (bytes <= 0) return;
    this.#bytesReported += bytes;
    this.#stream!.delivered(bytes);
  }

  /** The socket has read bytes, which go into the stream. */
  socketData(chunk: Uint8Array): void {
    if (this.#over) return;
    this.#bytesOut += chunk.length;
    if (!this.#stream!.write(chunk)) this.pause();
  }

  /** The socket has read its end. */
  socketEnd(): void {
    if (this.#over) return;
    this.#endRead = true;
    const socket = this.#socket;
    // libuv calls a reset that comes together with the last bytes an end (uv__stream_io: POLLHUP
    // after a partial read). The system has no peer for such a socket any more, and a write to it
    // fails and says why: the one under way, or one of nothing. A unix socket knows no reset.
    const isEnd = deathOf(socket) !== undefined || socket.writableEnded || !isTcp(socket);
    if (isEnd || !isGone(socket)) this.#endKnown();
    else if (socket.writableLength === 0) socket.write(NOTHING, this.#onEndKnown);
  }

  /** What the socket is given goes nowhere from now on; what can be read of it is read. */
  socketWritingDied(): void {
    if (!this.#over && this.#endRead) this.#endKnown();
  }

  /** All that the socket was given is with the system. */
  socketFinish(): void {
    if (this.#over) return;
    this.reportDelivered();
    if (this.#finReceived && deathOf(this.#socket) === undefined) this.#stream!.finDelivered();
  }

  /** The socket has failed; its end follows. */
  socketError(error: Error): void {
    this.#error = error;
  }

  /** The socket is closed: in order, or the stream is reset. */
  socketClose(): void {
    if (this.#over) return;
    // A clean end of both directions closes the socket before the peer has confirmed the last of it.
    if (this.#error === undefined && this.#endedCleanly()) return;
    const reason = this.#error === undefined ? 'connection closed' : errorText(this.#error);
    // What a client sent and the session has no credit for is not waited for: its target would not
    // hear of it as long as it does not read.
    if (this.#isClient && this.#socket.isPaused()) {
      this.#resetByOther(reason, 'cancelled');
      return;
    }
    this.#takeRest();
    this.#resetByOther(reason);
  }

  /** A socket that failed while it was paused may hold bytes that were read before. */
  #takeRest(): void {
    for (;;) {
      const rest = this.#socket.read() as Uint8Array | null;
      if (rest === null) return;
      this.#bytesOut += rest.length;
      this.#stream?.write(rest);
    }
  }

  /** The socket's bytes are all read. Whether its other end had closed or reset is known by now. */
  #endKnown(): void {
    this.#isEndKnown = true;
    // Between two streams: the next one is told.
    if (this.#stream === undefined) return;
    const death = deathOf(this.#socket);
    // EPIPE: it closed before it reset what came for it then. Its end is one, and then the reset.
    if (!this.#endTold && (death === undefined || death.code === 'EPIPE')) {
      this.#endTold = true;
      this.#stream.end();
    }
    if (death !== undefined) this.#resetByOther(errorText(death));
  }

  #resetByOther(reason: string, code: StreamCode = 'connection-reset'): void {
    this.#stream?.reset(code, reason);
    this.#finish(false, 'connection-reset', reason);
    resetSocket(this.#socket);
  }

  /** {@link Watched} */
  get watchedSocket(): Socket | undefined {
    return this.#over || this.#socket.destroyed ? undefined : this.#socket;
  }

  /** {@link Watched} */
  get isUnread(): boolean {
    return this.#isPaused || this.#endRead;
  }

  /** Found while the socket is not read: its other end is not there any more. */
  gone(): void {
    const socket = this.#socket;
    // The system says once what became of the connection, to whoever writes or reads next.
    if (socket.writableLength === 0) socket.write(NOTHING);
    if (this.#endRead) return;
    if (this.#isClient) {
      this.#resetByOther('the client is gone', 'cancelled');
      return;
    }
    this.#bytesOutBefore = this.#bytesOut;
    this.#patience = setTimeout(() => this.#patienceOver(), PATIENCE_MS).unref();
  }

  /** A target is gone, and what it said last waits for a client that takes nothing. */
  #patienceOver(): void {
    this.#patience = undefined;
    if (this.#over) return;
    if (this.#bytesOutBefore === this.#bytesOut)
      this.#resetByOther('the target is gone', 'cancelled');
    else this.gone();
  }

  /**
   * A socket keeps every piece that waits in it as it is, and with it the whole chunk of the lane.
   * So while it is busy with a write of an earlier round, whose end will be told, pieces wait here.
   */
  #mustWait(socket: Socket): boolean {
    if (this.#waiting.bytes > 0) return true;
    return this.#first === undefined && this.#writesPending > 0 && socket.writableLength > 0;
  }

  #write(socket: Socket, bytes: Uint8Array): void {
    this.#writesPending++;
    socket.write(bytes, this.#onWritten);
  }

  /** Gives the socket what waits, when it has nothing else of the stream to write, and then FIN. */
  #writeWaiting(): void {
    const socket = this.#socket;
    if (this.#waiting.bytes === 0 || socket.destroyed) return;
    if (this.#writesPending > 0 && socket.writableLength > 0) return;
    socket.cork();
    for (let piece = this.#waiting.shift(); piece; piece = this.#waiting.shift()) {
      this.#write(socket, piece);
    }
    socket.uncork();
    if (this.#finReceived) socket.end();
  }

  /** The system has all that came for the socket, or never will. */
  #allTaken(): boolean {
    const socket = this.#socket;
    if (socket.destroyed) return true;
    return this.#waiting.bytes === 0 && socket.writableLength === 0;
  }

  #resetAtLast(): void {
    if (this.#over) return;
    const { code, reason } = this.#lastReset!;
    this.#stream!.reset('cancelled', 'what came before the reset was not taken');
    this.#finish(false, code, reason);
    resetSocket(this.#socket);
  }

  #endedCleanly(): boolean {
    return this.#socket.readableEnded && this.#socket.writableFinished;
  }

  #finish(ok: boolean, code: StreamCode | undefined, reason: string): void {
    if (this.#over) return;
    this.#over = true;
    this.#seat.member = undefined;
    forgetAlive(this.#socket);
    clearTimeout(this.#patience);
    this.#waiting = new ByteQueue();
    this.#onEnd({ ok, code, reason, bytesIn: this.#bytesIn, bytesOut: this.#bytesOut });
  }
}

function onSocketData(this: EndpointSocket, chunk: Uint8Array): void {
  this[ENDPOINT]!.socketData(chunk);
}

function onSocketEnd(this: EndpointSocket): void {
  this[ENDPOINT]!.socketEnd();
}

function onSocketError(this: EndpointSocket, error: Error): void {
  this[ENDPOINT]!.socketError(error);
}

function onSocketClose(this: EndpointSocket): void {
  this[ENDPOINT]!.socketClose();
}

function onSocketFinish(this: EndpointSocket): void {
  this[ENDPOINT]!.socketFinish();
}

function onSocketWritingDied(this: EndpointSocket): void {
  this[ENDPOINT]?.socketWritingDied();
}
