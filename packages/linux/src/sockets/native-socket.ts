import { READ_BYTES_MAX } from '../memory/read-room.ts';
import {
  AF_UNIX,
  EPOLLERR,
  EPOLLET,
  EPOLLHUP,
  EPOLLIN,
  EPOLLOUT,
  EPOLLPRI,
  EPOLLRDHUP,
  SO_ERROR,
  SOL_SOCKET,
} from '../system/constants.ts';
import type { SocketPlace } from '../system/socket-address.ts';
import { EAGAIN, systemError } from '../system/system-error.ts';
import type { NativePlane } from './native-plane.ts';
import { isSilent, setKeepAlive, setUserTimeout } from './socket-options.ts';
import { WriteQueue } from './write-queue.ts';

/** All that ever happens to a connection, told once each time it happens: it is added to epoll once. */
export const CONNECTION_EVENTS = EPOLLIN + EPOLLOUT + EPOLLPRI + EPOLLRDHUP + EPOLLET;

/** The other end says no more, or nothing at all any more. */
const ENDING = EPOLLRDHUP | EPOLLHUP | EPOLLERR;

/**
 * Whoever has a socket. It is told from within the loop's rounds, and `onWritten` and `onFinished` also
 * from within `flush` and `end`.
 */
export interface SocketHandlers {
  /** Bytes in memory that is read over when this returns. */
  onData(bytes: Uint8Array): void;
  /** The other end has half-closed, and all that it said was told. */
  onEnd(): void;
  /** The system has taken more of what was written. */
  onWritten(): void;
  /** The system has taken all, and the half-close behind it. */
  onFinished(): void;
  /** Writing has failed: what is written goes nowhere from now on. What can be read is read. */
  onWritingDied(error: NodeJS.ErrnoException): void;
  /** Its other end is not there any more, while nobody reads. What it said before may still be there. */
  onGone(): void;
  /** Reading has failed. The socket is the handlers' to close. */
  onError(error: NodeJS.ErrnoException): void;
}

/**
 * A connection, of TCP or a unix socket, by system calls. It is paused at first. It closes by itself
 * when both directions have ended in order, and otherwise by {@link close} or {@link reset}.
 */
export class NativeSocket {
  readonly #plane: NativePlane;
  readonly isUnix: boolean;
  #fd: number;
  #handlers: SocketHandlers | undefined;
  /** The system may have bytes; it says when it has some again. */
  #isReadable = true;
  /**
   * A short read does not mean that nothing is left: the end is behind it, or an urgent byte, before
   * which the system stops.
   */
  #isReadInParts = false;
  /** The system has an error for this connection, which it says once to whoever asks first. */
  #hasError = false;
  /** Both directions are over for the system. */
  #isHungUp = false;
  #isPaused = true;
  #isTurnDue = false;
  #isGoneTold = false;
  #endRead = false;
  #endWanted = false;
  #finished = false;
  #isFinishTold = false;
  readonly #queue: WriteQueue;
  #death: NodeJS.ErrnoException | undefined;
  /** It is told at the end of this round. */
  #isDeathDue = false;

  /** `fd` is watched by the plane's loop, and the socket is its watcher from now on. */
  constructor(plane: NativePlane, fd: number, family: number) {
    this.#plane = plane;
    this.#fd = fd;
    this.isUnix = family === AF_UNIX;
    this.#queue = new WriteQueue(plane.system);
  }

  /** Before it is read or written; others may take over later, while it is paused. */
  bind(handlers: SocketHandlers): void {
    this.#handlers = handlers;
    if (this.#hasError || this.#isHungUp) this.#lookLater();
  }

  get isClosed(): boolean {
    return this.#fd < 0;
  }

  /** Its other end is not there any more. What it said before may still be there to be read. */
  get isGone(): boolean {
    // A unix socket that both ends have half-closed looks the same as one whose other end is closed.
    return this.#hasError || (this.isUnix && this.#isHungUp && !this.#endWanted);
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** The other end's half-close was read. */
  get endRead(): boolean {
    return this.#endRead;
  }

  /** All was written, and the half-close. */
  get finished(): boolean {
    return this.#finished;
  }

  /** Written here, and not taken by the system. */
  get queuedBytes(): number {
    return this.#queue.bytes;
  }

  /** Why writing has failed. It says whether the other end had closed (`EPIPE`) before it reset. */
  get writingError(): NodeJS.ErrnoException | undefined {
    return this.#death;
  }

  /** Undefined when it is closed, or over. */
  get remotePlace(): SocketPlace | undefined {
    return this.#fd < 0 ? undefined : this.#plane.system.remotePlace(this.#fd);
  }

  get localPlace(): SocketPlace | undefined {
    return this.#fd < 0 ? undefined : this.#plane.system.localPlace(this.#fd);
  }

  /** See {@link setKeepAlive}; unix sockets know nothing of it. */
  keepAlive(silenceMs: number): void {
    if (this.#fd >= 0 && !this.isUnix) setKeepAlive(this.#plane.system, this.#fd, silenceMs);
  }

  /** See {@link setUserTimeout}; unix sockets know nothing of it. */
  userTimeout(ms: number): void {
    if (this.#fd >= 0 && !this.isUnix) setUserTimeout(this.#plane.system, this.#fd, ms);
  }

  /** See {@link isSilent}. */
  isSilent(ms: number): boolean {
    return this.#fd >= 0 && !this.isUnix && isSilent(this.#plane.system, this.#fd, ms);
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    if (this.#isReadable) this.#readAgain();
  }

  /** At most one more read's worth is held by the system's own buffer then, not here. */
  pause(): void {
    if (this.#isPaused) return;
    this.#isPaused = true;
    if (this.#hasError || this.#isHungUp) this.#lookLater();
  }

  /** Bytes for the other end, which are not to be changed any more; written by {@link flush}. */
  write(bytes: Uint8Array): void {
    if (this.#fd >= 0 && this.#death === undefined) this.#queue.add(bytes);
  }

  /** Writes what there is, unless the system still has to say that it takes more. */
  flush(): void {
    if (this.#fd >= 0 && !this.#queue.isBlocked) this.#writeOut();
  }

  /** Writes these bytes now, behind what waits. Their memory is the caller's again when this returns. */
  writeThrough(bytes: Uint8Array): void {
    if (this.#fd < 0 || this.#death !== undefined) return;
    const written = this.#queue.writeThrough(this.#fd, bytes);
    if (written < 0) this.#die(systemError('write', written));
  }

  /** Half-closes behind what was written. */
  end(): void {
    if (this.#endWanted || this.#fd < 0) return;
    this.#endWanted = true;
    this.flush();
  }

  /** It is taken as failed, as if the system had said so. */
  fail(error: NodeJS.ErrnoException): void {
    if (this.#fd >= 0) this.#handlers!.onError(error);
  }

  /** The other end sees a reset; one of a unix socket sees it closed. */
  reset(): void {
    if (this.#fd >= 0) this.#release((fd) => this.#plane.system.closeWithReset(fd));
  }

  /** Closes at once. The system sends what it has taken. */
  close(): void {
    if (this.#fd >= 0) this.#release((fd) => this.#plane.system.close(fd));
  }

  /** By the loop. */
  ready(events: number): void {
    if ((events & (ENDING | EPOLLPRI)) !== 0) this.#isReadInParts = true;
    if ((events & EPOLLERR) !== 0) this.#hasError = true;
    if ((events & EPOLLHUP) !== 0) this.#isHungUp = true;
    if ((events & EPOLLOUT) !== 0 && this.#queue.isBlocked) this.#writeOut();
    if ((events & (EPOLLIN | ENDING)) !== 0) {
      this.#isReadable = true;
      this.#read();
    }
    if ((events & (EPOLLERR | EPOLLHUP)) !== 0) this.#look();
  }

  /** By the loop: work left over from the last round. */
  turn(): void {
    this.#isTurnDue = false;
    this.#read();
  }

  /** Not from within what the caller is doing. */
  #lookLater(): void {
    this.#plane.loop.atRoundEnd(() => this.#look());
  }

  /** The connection may be over altogether, which reading alone does not show. */
  #look(): void {
    if (this.#fd < 0 || this.#handlers === undefined) return;
    if (this.#endRead) this.#learnError();
    else if (this.#isPaused && !this.#isGoneTold && this.isGone) {
      this.#isGoneTold = true;
      this.#handlers.onGone();
    }
  }

  #readAgain(): void {
    if (this.#isTurnDue || this.#fd < 0) return;
    this.#isTurnDue = true;
    this.#plane.loop.again(this);
  }

  /** One read, so that nobody waits for long; the rest has its turn in the next round. */
  #read(): void {
    if (this.#isPaused || !this.#isReadable || this.#endRead || this.#fd < 0) return;
    const { system, room } = this.#plane;
    const taken = system.receive(this.#fd, room.address, READ_BYTES_MAX);
    if (taken > 0) {
      if (taken < READ_BYTES_MAX && !this.#isReadInParts) this.#isReadable = false;
      else this.#readAgain();
      room.lend(taken, this.#handlers!);
    } else if (taken === 0) {
      this.#endOfBytes();
    } else if (taken === EAGAIN) {
      this.#isReadable = false;
      this.#isReadInParts = false;
    } else {
      this.#isReadable = false;
      this.#handlers!.onError(systemError('read', taken));
    }
  }

  /** A reset behind a half-close is told as both, in this order. */
  #endOfBytes(): void {
    this.#isReadable = false;
    this.#endRead = true;
    this.#handlers!.onEnd();
    if (this.#hasError) this.#learnError();
    this.#closeIfOver();
  }

  #learnError(): void {
    if (this.#fd < 0) return;
    const error = this.#plane.system.getOption(this.#fd, SOL_SOCKET, SO_ERROR);
    if (error > 0) this.#die(systemError('write', -error));
  }

  #writeOut(): void {
    const before = this.#queue.bytes;
    if (before > 0) {
      const written = this.#queue.write(this.#fd);
      if (written < 0) this.#die(systemError('write', written));
      else if (written > 0) this.#handlers!.onWritten();
    }
    if (this.#endWanted && this.#queue.bytes === 0) this.#finish();
  }

  #die(error: NodeJS.ErrnoException): void {
    if (this.#death !== undefined) return;
    this.#death = error;
    this.#isDeathDue = true;
    this.#queue.clear();
    // Not from within a write: whoever made it is in the middle of something.
    this.#plane.loop.atRoundEnd(() => {
      this.#isDeathDue = false;
      if (this.#fd >= 0) this.#handlers!.onWritingDied(error);
      this.#closeIfOver();
    });
  }

  #finish(): void {
    if (this.#finished || this.#fd < 0) return;
    this.#finished = true;
    if (this.#death === undefined) this.#shutDown();
    this.#closeIfOver();
  }

  /** The connection may be over, which the last bytes that were written do not show. */
  #shutDown(): void {
    const result = this.#plane.system.shutdownWriting(this.#fd);
    if (result === 0) {
      this.#isFinishTold = true;
      this.#handlers!.onFinished();
      return;
    }
    this.#learnError();
    this.#die(systemError('shutdown', result));
  }

  /** Not before its handlers know that nothing arrives of what they wrote. */
  #closeIfOver(): void {
    const isTold = this.#isFinishTold || !this.#isDeathDue;
    if (this.#endRead && this.#finished && isTold) this.close();
  }

  #release(close: (fd: number) => void): void {
    const fd = this.#fd;
    this.#fd = -1;
    this.#plane.loop.unwatch(fd);
    this.#queue.clear();
    close(fd);
  }
}
