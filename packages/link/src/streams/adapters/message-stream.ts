import { invariant } from '@routy/proto/base';
import type { StreamCode } from '@routy/proto/wire';
import { LinkError } from '../../transport/link-error.ts';
import type { ByteReceiver } from '../byte-stream.ts';
import { AsyncByteStream } from './async-byte-stream.ts';

/** How one version of a protocol writes its messages. */
export interface MessageCodec<T> {
  /** The bytes are not to be changed later. */
  encode(message: T): Uint8Array;
  /** Gets a view that is its to keep. Whatever it throws is thrown to the reader. */
  decode(bytes: Uint8Array): T;
}

/** How messages become bytes, and how large one may be. */
export interface MessageStreamOptions<T> {
  /** By version of the protocol. */
  readonly codecs: Readonly<Record<number, MessageCodec<T>>>;
  /** Most bytes of one message, both ways; 1 MiB by default. */
  readonly maxBytes?: number;
  readonly signal?: AbortSignal;
}

const MAX_BYTES = 1024 * 1024;
const PREFIX_BYTES = 4;

/** Messages up to this size are gathered with others that are sent in the same go. */
const GATHERED_BYTES_MAX = 2048;
const BLOCK_BYTES = 16 * 1024;

const DONE = Promise.resolve();
const NOTHING: Uint8Array = new Uint8Array(0);

/**
 * A stream of messages: each is preceded by its length, four bytes, most significant first. Longer
 * ones than `maxBytes` fail with `message-too-large`, at whoever sends them; a peer that sends one has
 * its stream reset. A stream that ends within a message fails with `message-truncated`.
 */
export class MessageStream<T> {
  readonly #bytes: AsyncByteStream;
  readonly #codecs: MessageStreamOptions<T>['codecs'];
  readonly #cutter: MessageCutter;
  readonly #maxBytes: number;
  #codec: MessageCodec<T> | undefined;
  /** What is gathered is in it from `#from` to `#filled`; what is before has been sent. */
  #block = NOTHING;
  #from = 0;
  #filled = 0;
  #isFlushDue = false;
  /** What the next batch fails with. */
  #failure: Error | undefined;

  constructor({ codecs, maxBytes = MAX_BYTES, signal }: MessageStreamOptions<T>) {
    this.#bytes = new AsyncByteStream(signal === undefined ? {} : { signal });
    this.#codecs = codecs;
    this.#maxBytes = maxBytes;
    this.#cutter = new MessageCutter(maxBytes);
    const [only, another] = Object.values(codecs);
    if (another === undefined) this.#codec = only;
  }

  /** What the stream is opened or accepted with. */
  get receiver(): ByteReceiver {
    return this.#bytes.receiver;
  }

  /** Says which version is spoken, where there are several; before the first message. */
  speak(version: number): void {
    this.#codec = this.#codecs[version];
    invariant(this.#codec !== undefined, 'no codec for version', version);
  }

  /** Done when the next may follow. */
  send(message: T): Promise<void> {
    const bytes = this.#chosen().encode(message);
    if (bytes.length > this.#maxBytes) {
      return Promise.reject(tooLarge(bytes.length, this.#maxBytes));
    }
    if (bytes.length > GATHERED_BYTES_MAX) return this.#sendAlone(bytes);
    this.#gather(bytes);
    if (!this.#bytes.isWritable) return this.#flush();
    if (!this.#isFlushDue) {
      this.#isFlushDue = true;
      queueMicrotask(() => {
        this.#isFlushDue = false;
        // A stream that was reset says so to the next message.
        this.#flush().catch(() => undefined);
      });
    }
    return DONE;
  }

  /** The next message, as `done` when there are no more. One at a time. */
  async receive(): Promise<{ readonly done: false; readonly value: T } | { readonly done: true }> {
    try {
      for (;;) {
        const bytes = this.#cutter.next();
        if (bytes !== undefined) return { done: false, value: this.#chosen().decode(bytes) };
        const chunk = await this.#bytes.read();
        if (chunk === undefined) {
          this.#cutter.end();
          return { done: true };
        }
        this.#cutter.push(chunk);
      }
    } catch (error) {
      this.reset('cancelled', error instanceof Error ? error.message : String(error));
      throw error;
    }
  }

  /**
   * All messages that are here, or the next ones to come: at least one, and none when there are no more.
   * One promise for many messages, where {@link receive} has one for each. One at a time.
   */
  async receiveBatch(): Promise<readonly T[]> {
    const batch: T[] = [];
    try {
      for (;;) {
        this.#takeAll(batch);
        if (batch.length > 0) return batch;
        const chunk = await this.#bytes.read();
        if (chunk === undefined) {
          this.#cutter.end();
          return batch;
        }
        this.#cutter.push(chunk);
      }
    } catch (error) {
      this.reset('cancelled', error instanceof Error ? error.message : String(error));
      throw error;
    }
  }

  /** {@link receiveBatch} to the end; leaving the loop before resets the stream. */
  async *batches(): AsyncGenerator<readonly T[], void, void> {
    let isOver = false;
    try {
      for (;;) {
        const batch = await this.receiveBatch();
        isOver = batch.length === 0;
        if (isOver) return;
        yield batch;
      }
    } finally {
      if (!isOver) this.reset('cancelled', 'reading was given up');
    }
  }

  /** Reads to the end; leaving the loop before resets the stream. */
  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, void> {
    let isOver = false;
    try {
      for (;;) {
        const next = await this.receive();
        isOver = next.done;
        if (next.done) return;
        yield next.value;
      }
    } finally {
      if (!isOver) this.reset('cancelled', 'reading was given up');
    }
  }

  /** Half-closes behind what was sent. */
  end(): void {
    this.#flush().catch(() => undefined);
    this.#bytes.end();
  }

  /** Done when both directions have ended and the peer has all; fails when the stream is reset. */
  finished(): Promise<void> {
    return this.#bytes.finished();
  }

  reset(code?: StreamCode, reason?: string): void {
    this.#bytes.reset(code, reason);
  }

  /** What was good before a message that is not is given out first. */
  #takeAll(batch: T[]): void {
    if (this.#failure !== undefined) throw this.#failure;
    const codec = this.#chosen();
    try {
      for (let bytes = this.#cutter.next(); bytes !== undefined; bytes = this.#cutter.next()) {
        batch.push(codec.decode(bytes));
      }
    } catch (error) {
      if (batch.length === 0) throw error;
      this.#failure = error as Error;
    }
  }

  #chosen(): MessageCodec<T> {
    invariant(this.#codec !== undefined, 'the version is not chosen yet');
    return this.#codec;
  }

  #gather(bytes: Uint8Array): void {
    const size = PREFIX_BYTES + bytes.length;
    if (this.#filled + size > this.#block.length) {
      this.#flush().catch(() => undefined);
      this.#block = new Uint8Array(BLOCK_BYTES);
      this.#from = 0;
      this.#filled = 0;
    }
    writePrefix(this.#block, this.#filled, bytes.length);
    this.#block.set(bytes, this.#filled + PREFIX_BYTES);
    this.#filled += size;
  }

  #flush(): Promise<void> {
    if (this.#from === this.#filled) return DONE;
    const gathered = this.#block.subarray(this.#from, this.#filled);
    this.#from = this.#filled;
    return this.#bytes.write(gathered);
  }

  #sendAlone(bytes: Uint8Array): Promise<void> {
    this.#flush().catch(() => undefined);
    const prefix = new Uint8Array(PREFIX_BYTES);
    writePrefix(prefix, 0, bytes.length);
    this.#bytes.write(prefix).catch(() => undefined);
    return this.#bytes.write(bytes);
  }
}

/** Cuts bytes into messages; a message that came in one piece is a view of it. */
class MessageCutter {
  readonly #maxBytes: number;
  #chunk = NOTHING;
  #at = 0;
  readonly #prefix = new Uint8Array(PREFIX_BYTES);
  #prefixFilled = 0;
  /** Of a message that came in several pieces. */
  #body: Uint8Array | undefined;
  #bodyFilled = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Only when there is no next message. */
  push(chunk: Uint8Array): void {
    this.#chunk = chunk;
    this.#at = 0;
  }

  next(): Uint8Array | undefined {
    while (this.#prefixFilled < PREFIX_BYTES) {
      if (this.#at === this.#chunk.length) return undefined;
      this.#prefix[this.#prefixFilled++] = this.#chunk[this.#at++]!;
    }
    const [a, b, c, d] = this.#prefix as unknown as [number, number, number, number];
    const size = ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
    if (size > this.#maxBytes) throw tooLarge(size, this.#maxBytes);
    if (this.#body === undefined && this.#chunk.length - this.#at >= size) {
      const whole = this.#chunk.subarray(this.#at, this.#at + size);
      this.#at += size;
      this.#prefixFilled = 0;
      return whole;
    }
    return this.#fill(size);
  }

  #fill(size: number): Uint8Array | undefined {
    this.#body ??= new Uint8Array(size);
    const body = this.#body;
    const part = this.#chunk.subarray(this.#at, this.#at + size - this.#bodyFilled);
    body.set(part, this.#bodyFilled);
    this.#at += part.length;
    this.#bodyFilled += part.length;
    if (this.#bodyFilled < size) return undefined;
    this.#body = undefined;
    this.#bodyFilled = 0;
    this.#prefixFilled = 0;
    return body;
  }

  /** No more comes. */
  end(): void {
    if (this.#prefixFilled === 0) return;
    throw new LinkError('message-truncated', 'the stream ended within a message');
  }
}

function writePrefix(into: Uint8Array, at: number, size: number): void {
  into[at] = size >>> 24;
  into[at + 1] = size >>> 16;
  into[at + 2] = size >>> 8;
  into[at + 3] = size;
}

function tooLarge(bytes: number, maxBytes: number): LinkError {
  const message = `a message of ${bytes} bytes, and at most ${maxBytes} are taken`;
  return new LinkError('message-too-large', message);
}
