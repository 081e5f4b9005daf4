import { errorText, invariant } from '@routy/proto/base';
import type { StreamCode } from '@routy/proto/wire';
import { expectBytes } from '../../arguments/arguments.ts';
import { LinkError } from '../../transport/link-error.ts';
import type { ByteReceiver } from '../byte-stream.ts';
import { AsyncByteStream, afterEnd, giveUpReading } from './async-byte-stream.ts';
import {
  MARK,
  MARK_SIZE,
  MessageCutter,
  PREFIX_BYTES,
  tooLarge,
  writePrefix,
} from './message-cutter.ts';
import {
  expectMessageOptions,
  MESSAGE_BYTES,
  type MessageCodec,
  type MessageStreamOptions,
} from './message-options.ts';

/** Messages up to this size are gathered with others that are sent in the same go. */
const GATHERED_BYTES_MAX = 2048;
/** The first block is for streams of a few messages; each is twice as large as the one before. */
const BLOCK_BYTES_MIN = 512;
const BLOCK_BYTES_MAX = 16 * 1024;

/** How long a peer may take to end its part of what has come to nothing, in ms. */
const END_MS = 5_000;

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
  #fetching: Promise<boolean> | undefined;
  /** The peer's part of the conversation is over, and the stream goes on. */
  #isMarked = false;
  /** This side's part is over. */
  #isEnded = false;
  #onTurn: (() => void) | undefined;
  /** Tells who waits for the reader. */
  #consumed: () => void = () => undefined;

  /** @throws LinkError `argument-invalid` */
  constructor(options: MessageStreamOptions<T>) {
    expectMessageOptions(options);
    const { codecs, maxBytes = MESSAGE_BYTES, signal } = options;
    this.#cutter = new MessageCutter(maxBytes);
    const absorb = (bytes: Uint8Array): number => this.#cutter.absorb(bytes);
    this.#bytes = new AsyncByteStream(signal === undefined ? {} : { signal }, absorb);
    this.#codecs = codecs;
    this.#maxBytes = maxBytes;
    const [only, another] = Object.values(codecs);
    if (another === undefined) this.#codec = only;
  }

  /** What the stream is opened or accepted with. */
  get receiver(): ByteReceiver {
    return this.#bytes.receiver;
  }

  /** It takes further messages: neither was it reset, nor has this side ended. */
  get isOpen(): boolean {
    return !this.#isEnded && this.#bytes.error === undefined;
  }

  /** Says which version is spoken, where there are several; before the first message. */
  speak(version: number): void {
    this.#codec = this.#codecs[version];
    invariant(this.#codec !== undefined, 'no codec for version', version);
  }

  /**
   * Done when the next may follow.
   *
   * @throws LinkError `stream-ended`, `message-too-large`, or what the codec throws: nothing of the message
   *   is sent then, and the next may be; StreamResetError when the stream was reset
   */
  send(message: T): Promise<void> {
    const { error } = this.#bytes;
    if (error !== undefined) return Promise.reject(error);
    if (this.#isEnded) return Promise.reject(afterEnd('sent'));
    let bytes: Uint8Array;
    try {
      bytes = this.#encoded(message);
    } catch (failure) {
      return Promise.reject(failure as Error);
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
        if (this.#isMarked) return { done: true };
        const bytes = this.#cutter.next();
        if (bytes === MARK) this.#marked();
        else if (bytes !== undefined) {
          const value = this.#chosen().decode(bytes);
          this.#used();
          return { done: false, value };
        } else if (!this.#takesHere() && !(await this.#more())) return { done: true };
      }
    } catch (error) {
      this.giveUp(errorText(error));
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
        if (batch.length > 0) this.#used();
        if (batch.length > 0 || this.#isMarked) return batch;
        if (!this.#takesHere() && !(await this.#more())) return batch;
      }
    } catch (error) {
      this.giveUp(errorText(error));
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
      if (!isOver) giveUpReading(this);
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
      if (!isOver) giveUpReading(this);
    }
  }

  /**
   * Half-closes behind what was sent. Where the peer goes on with another protocol (`LinkStream.become`)
   * this side's part of the conversation ends, and not the stream.
   */
  end(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#flush().catch(() => undefined);
    if (!this.#isMarked || this.#onTurn === undefined) this.#bytes.end();
    else this.#onTurn();
  }

  // For the link, whose streams may go on in another protocol.

  /** Called when this side ends a conversation that the peer wants to go on from. */
  set onTurn(onTurn: () => void) {
    this.#onTurn = onTurn;
  }

  /** Ends this side's part of the conversation with a text behind it; done when it was taken. */
  async mark(text: Uint8Array): Promise<void> {
    this.#isEnded = true;
    this.#flush().catch(() => undefined);
    const marked = new Uint8Array(2 * PREFIX_BYTES + text.length);
    writePrefix(marked, 0, MARK_SIZE);
    writePrefix(marked, PREFIX_BYTES, text.length);
    marked.set(text, 2 * PREFIX_BYTES);
    await this.#bytes.write(marked);
  }

  /** Resolves when the peer has ended its part: true behind a mark, false with the stream. */
  async untilMark(): Promise<boolean> {
    let lost: { readonly error: unknown } | undefined;
    this.#bytes.finished().catch((error: unknown) => {
      lost = { error };
      this.#consumed();
    });
    while (!this.#isMarked) {
      if (this.#cutter.isMarkNext) {
        this.#cutter.next();
        this.#marked();
      } else if (this.#cutter.hasNext) {
        // Its reader has not come so far, and may never: the stream may be reset before.
        if (lost !== undefined) throw lost.error;
        await new Promise<void>((resolve) => {
          this.#consumed = resolve;
        });
      } else {
        this.#cutter.next();
        if (!this.#takesHere() && !(await this.#more())) return false;
      }
    }
    return true;
  }

  /** The text behind the peer's mark. */
  async afterMark(): Promise<Uint8Array> {
    for (;;) {
      const text = this.#cutter.next();
      if (text !== undefined) return text;
      if (this.#takesHere() || (await this.#more())) continue;
      throw new LinkError('message-truncated', 'it ended within a turn');
    }
  }

  /** Lets go of the stream, and gives what was read and not used. */
  release(): Uint8Array[] {
    return [this.#cutter.rest(), ...this.#bytes.release()];
  }

  /** Ends both directions after a turn that came to nothing; a peer that does not end its own is reset. */
  async giveUpTurn(): Promise<void> {
    this.#bytes.end();
    const late = () => this.giveUp(`it did not end within ${END_MS} ms`);
    const timer = setTimeout(late, END_MS);
    try {
      while ((await this.#bytes.read()) !== undefined);
    } catch {
      // It was reset: that is an end, too.
    } finally {
      clearTimeout(timer);
    }
  }

  /**
   * Done when both directions have ended and the peer has all; fails when the stream is reset. The peer's
   * direction ends with the last message of it that is read.
   */
  finished(): Promise<void> {
    return this.#bytes.finished();
  }

  /**
   * Ends both directions at once, and what the peer has not read is lost; nothing happens when it has
   * read all, and both directions have ended.
   */
  reset(code?: StreamCode, reason?: string): void {
    this.#bytes.reset(code, reason);
  }

  /** Resets it unless both directions have ended: what was sent then arrives. */
  giveUp(reason: string): void {
    this.#bytes.giveUp(reason);
  }

  /** What is here already needs no promise, unless a read is under way. */
  #takesHere(): boolean {
    const chunk = this.#fetching === undefined ? this.#bytes.readHere() : undefined;
    if (chunk !== undefined) this.#cutter.push(chunk);
    return chunk !== undefined;
  }

  /** One read for whoever waits; false at the end. */
  #more(): Promise<boolean> {
    this.#fetching ??= this.#fetch();
    return this.#fetching;
  }

  async #fetch(): Promise<boolean> {
    try {
      this.#settle();
      const isHere = await this.#bytes.untilHere();
      if (!isHere) this.#cutter.end();
      return isHere;
    } finally {
      this.#fetching = undefined;
    }
  }

  /** The reader has its messages. */
  #used(): void {
    this.#settle();
    this.#consumed();
  }

  /** What the reader waits for is delivered before it is whole, what waits for the reader is not. */
  #settle(): void {
    this.#bytes.settle(this.#cutter.readyBytes);
  }

  #marked(): void {
    this.#isMarked = true;
    this.#settle();
    // This side has ended the stream already: it cannot go on.
    if (this.#isEnded && this.#onTurn !== undefined) void this.giveUpTurn();
  }

  /** What was good before a message that is not is given out first. */
  #takeAll(batch: T[]): void {
    if (this.#failure !== undefined) throw this.#failure;
    const codec = this.#chosen();
    try {
      if (this.#isMarked) return;
      for (let bytes = this.#cutter.next(); bytes !== undefined; bytes = this.#cutter.next()) {
        if (bytes === MARK) {
          this.#marked();
          return;
        }
        batch.push(codec.decode(bytes));
      }
    } catch (error) {
      if (batch.length === 0) throw error;
      this.#failure = error as Error;
    }
  }

  #encoded(message: T): Uint8Array {
    const bytes = this.#chosen().encode(message);
    expectBytes('what encode has made', bytes);
    if (bytes.length > this.#maxBytes) throw tooLarge(bytes.length, this.#maxBytes);
    return bytes;
  }

  #chosen(): MessageCodec<T> {
    invariant(this.#codec !== undefined, 'the version is not chosen yet');
    return this.#codec;
  }

  #gather(bytes: Uint8Array): void {
    const size = PREFIX_BYTES + bytes.length;
    if (this.#filled + size > this.#block.length) this.#renewBlock(size);
    writePrefix(this.#block, this.#filled, bytes.length);
    this.#block.set(bytes, this.#filled + PREFIX_BYTES);
    this.#filled += size;
  }

  /** A larger block takes along what is not sent yet; what the largest holds is sent by itself. */
  #renewBlock(size: number): void {
    if (this.#block.length === BLOCK_BYTES_MAX) this.#flush().catch(() => undefined);
    const unsent = this.#block.subarray(this.#from, this.#filled);
    const larger = Math.max(2 * this.#block.length, unsent.length + size, BLOCK_BYTES_MIN);
    this.#block = new Uint8Array(Math.min(larger, BLOCK_BYTES_MAX));
    this.#block.set(unsent);
    this.#from = 0;
    this.#filled = unsent.length;
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
