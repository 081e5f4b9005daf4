import { types } from 'node:util';
import { errorText } from '@routy/proto/base';
import type { StreamCode } from '@routy/proto/wire';
import { expectSignalOption } from '../../arguments/arguments.ts';
import { onAbort } from '../../transport/deadline.ts';
import { invalidArgument, LinkError } from '../../transport/link-error.ts';
import type { ByteReceiver } from '../byte-stream.ts';
import { ByteChannel, expectReset, resetCodeOf, type StreamResetError } from './byte-channel.ts';

interface Waiter<T> {
  resolve(value: T): void;
  reject(error: Error): void;
}

interface Reader extends Waiter<Uint8Array | undefined> {
  /** It takes nothing: it wants to know that there is something. */
  readonly isWaiting: boolean;
}

interface WaitingWrite extends Waiter<void> {
  /** Undefined: sent, but the stream takes no more yet. */
  readonly chunk: Uint8Array | undefined;
}

const DONE = Promise.resolve();
const NOTHING: Uint8Array = new Uint8Array(0);

/**
 * A stream with promises: chunks are read one at a time or with `for await`, and a write is done when
 * the next may follow. A reset by the peer is a `StreamResetError` of whatever waits or is
 * asked next; bytes that came before a `connection-reset` are read first.
 */
export class AsyncByteStream {
  readonly #channel: ByteChannel;
  #reader: Reader | undefined;
  #writes: WaitingWrite[] = [];
  #isEnding = false;
  #isFinished = false;
  #finishers: Waiter<void>[] = [];
  /** A signal may live much longer than the stream. */
  #letGo: (() => void) | undefined;

  /**
   * `signal` resets it. `absorb` is that of the receiver: bytes that it takes are not read, and count as
   * delivered when they are {@link settle}d.
   */
  constructor(options: { readonly signal?: AbortSignal } = {}, absorb?: ByteReceiver['absorb']) {
    expectSignalOption(options);
    const { signal } = options;
    this.#channel = new ByteChannel({
      onReadable: () => this.#readOn(),
      onWritable: () => this.#writeOn(),
      onReset: () => this.#fail(),
      onFinished: () => this.#finish(),
      ...(absorb && { onAbsorb: absorb }),
    });
    if (signal === undefined) return;
    const abort = (): void => this.reset(resetCodeOf(signal.reason), errorText(signal.reason));
    if (signal.aborted) {
      abort();
      return;
    }
    onAbort(signal, abort);
    this.#letGo = () => signal.removeEventListener('abort', abort);
  }

  /** What the stream is opened or accepted with. */
  get receiver(): ByteReceiver {
    return this.#channel;
  }

  /** Why it was reset, by whomever; undefined where it was not. */
  get error(): StreamResetError | undefined {
    return this.#channel.error;
  }

  /** The next write is taken at once. */
  get isWritable(): boolean {
    return this.#channel.canSend && this.#writes.length === 0;
  }

  /**
   * The next bytes; undefined at the end. One read at a time.
   *
   * @throws LinkError `stream-in-use`, StreamResetError
   */
  read(): Promise<Uint8Array | undefined> {
    return this.#readBy(false);
  }

  /**
   * True when {@link readHere} has bytes or some were absorbed, false at the end. What is read is nowhere on the
   * way meanwhile, so that what is absorbed cannot overtake it.
   *
   * @throws LinkError `stream-in-use`, StreamResetError
   */
  async untilHere(): Promise<boolean> {
    return (await this.#readBy(true)) !== undefined;
  }

  /** Bytes that are here already; undefined where {@link read} would wait, end or fail. */
  readHere(): Uint8Array | undefined {
    return this.#reader === undefined ? this.#channel.take() : undefined;
  }

  /** All bytes that were absorbed, but the last so many, have reached where they go. */
  settle(kept: number): void {
    this.#channel.settle(kept);
  }

  /**
   * Without a copy: the bytes are not to be changed later. Done when the next may follow.
   *
   * @throws LinkError `argument-invalid`, `stream-ended`, StreamResetError
   */
  write(chunk: Uint8Array): Promise<void> {
    const { error } = this.#channel;
    if (error !== undefined) return Promise.reject(error);
    const fault = this.#faultOf(chunk);
    if (fault !== undefined) return Promise.reject(fault);
    if (!this.isWritable) return this.#waitWith(chunk);
    this.#channel.send(chunk);
    return this.#channel.canSend ? DONE : this.#waitWith(undefined);
  }

  /** Half-closes behind what was written. */
  end(): void {
    this.#isEnding = true;
    if (this.#writes.some(({ chunk }) => chunk !== undefined)) return;
    this.#channel.end();
    // All was taken: none of them waits for a next one.
    for (const write of this.#writes.splice(0)) write.resolve();
  }

  /**
   * Done when both directions have ended and the peer has all; fails when the stream is reset. The peer's
   * direction ends with the last byte of it that is read.
   */
  finished(): Promise<void> {
    if (this.#isFinished) return DONE;
    const { error } = this.#channel;
    if (error !== undefined) return Promise.reject(error);
    return new Promise((resolve, reject) => {
      this.#finishers.push({ resolve, reject });
    });
  }

  /** Lets go of the stream for another user of it; gives what came and was not read. */
  release(): Uint8Array[] {
    this.#finish();
    return this.#channel.release();
  }

  /**
   * Ends both directions at once, and what the peer has not read is lost; nothing happens when it has
   * read all, and both directions have ended.
   */
  reset(code: StreamCode = 'cancelled', reason = 'reset'): void {
    expectReset(code, reason);
    this.#channel.abort(code, reason);
    if (this.#channel.error !== undefined) this.#fail();
  }

  /** Resets it unless both directions have ended: what was sent then arrives. */
  giveUp(reason: string): void {
    if (!this.#channel.hasEnded) this.reset('cancelled', reason);
  }

  /** Reads to the end; leaving the loop before resets the stream. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, void> {
    let isOver = false;
    try {
      for (;;) {
        const chunk = await this.read();
        isOver = chunk === undefined;
        if (chunk === undefined) return;
        yield chunk;
      }
    } finally {
      if (!isOver) giveUpReading(this);
    }
  }

  #faultOf(chunk: unknown): LinkError | undefined {
    if (this.#isEnding) return afterEnd('written');
    if (types.isUint8Array(chunk)) return undefined;
    return invalidArgument('chunk', 'a Uint8Array, as Buffer.from(text) is one', chunk);
  }

  #waitWith(chunk: Uint8Array | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#writes.push({ chunk, resolve, reject });
    });
  }

  #readBy(isWaiting: boolean): Promise<Uint8Array | undefined> {
    if (this.#reader !== undefined) return Promise.reject(readTwice());
    return new Promise((resolve, reject) => {
      this.#reader = { isWaiting, resolve, reject };
      this.#readOn();
    });
  }

  #readOn(): void {
    const reader = this.#reader;
    if (reader === undefined) return;
    const isHere = this.#channel.hasBytes || this.#channel.hasAbsorbed;
    const piece = reader.isWaiting ? (isHere ? NOTHING : undefined) : this.#channel.take();
    const { atEnd, error } = this.#channel;
    if (piece === undefined && !atEnd && error === undefined) return;
    this.#reader = undefined;
    if (piece !== undefined) {
      reader.resolve(piece);
    } else if (atEnd) {
      reader.resolve(undefined);
    } else {
      reader.reject(error!);
    }
  }

  #writeOn(): void {
    while (this.#channel.canSend) {
      const write = this.#writes.shift();
      if (write === undefined) break;
      if (write.chunk !== undefined) this.#channel.send(write.chunk);
      if (this.#channel.canSend || write.chunk === undefined) write.resolve();
      else this.#writes.unshift({ ...write, chunk: undefined });
    }
    if (this.#isEnding) this.end();
  }

  #finish(): void {
    this.#letGo?.();
    this.#isFinished = true;
    for (const waiter of this.#finishers.splice(0)) waiter.resolve();
  }

  #fail(): void {
    this.#letGo?.();
    const error = this.#channel.error!;
    this.#readOn();
    for (const waiter of [...this.#writes.splice(0), ...this.#finishers.splice(0)]) {
      waiter.reject(error);
    }
  }
}

/** `done`: sent, or written. */
export function afterEnd(done: string): LinkError {
  return new LinkError('stream-ended', `${done} after the end`, {
    hint: 'call end() after the last one, or open another stream',
  });
}

function readTwice(): LinkError {
  return new LinkError('stream-in-use', 'a read is under way', {
    hint: 'await each read before the next; one reader at a time',
  });
}

/**
 * A loop over a stream was left before its end, by `break`, or by an error that may be on its way to
 * whoever has a better reason for the reset: the accept function of a protocol, say. So that comes first.
 */
export function giveUpReading(stream: { giveUp(reason: string): void }): void {
  setImmediate(() => stream.giveUp('a loop over the stream was left before its end'));
}

/** A stream as a pair of web streams. Cancelling one or aborting the other resets the stream. */
export function webStreamsOf(stream: AsyncByteStream): {
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<Uint8Array>;
} {
  const abort = (reason: unknown): void => stream.reset(resetCodeOf(reason), errorText(reason));
  // Nothing is read ahead: what is not asked for stays back pressure.
  const readable = new ReadableStream<Uint8Array>(
    {
      pull: async (controller) => {
        const chunk = await stream.read();
        if (chunk === undefined) controller.close();
        else controller.enqueue(chunk);
      },
      cancel: abort,
    },
    { highWaterMark: 0 },
  );
  const writable = new WritableStream<Uint8Array>({
    write: (chunk) => stream.write(chunk),
    close: () => stream.end(),
    abort,
  });
  return { readable, writable };
}
