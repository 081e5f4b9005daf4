import type { MessageChannel } from '../behaviours/channel.ts';
import type { MessageStream } from '../streams/adapters/message-stream.ts';

/** How long the peer of a channel that is closed may take to end its half, in ms. */
const CLOSE_MS = 5_000;

/** A stream of messages as what a conversation runs over. */
export class StreamChannel<T> implements MessageChannel<T> {
  readonly closed: Promise<unknown>;
  readonly messages: AsyncIterable<T>;
  readonly #stream: MessageStream<T>;
  #isClosed = false;
  /** Who asked for it may have gone meanwhile. */
  #reading: Promise<IteratorResult<T, undefined>> | undefined;

  constructor(stream: MessageStream<T>) {
    this.#stream = stream;
    this.closed = stream.finished().then(
      () => undefined,
      (error: unknown) => error,
    );
    this.messages = { [Symbol.asyncIterator]: () => ({ next: () => this.#next() }) };
  }

  send(message: T): Promise<void> {
    return this.#stream.send(message);
  }

  get isOpen(): boolean {
    return this.#stream.isOpen;
  }

  /** What was sent arrives before the end; what still comes is thrown away. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const stream = this.#stream;
    stream.end();
    const timer = setTimeout(() => stream.giveUp('it did not end'), CLOSE_MS).unref();
    void this.closed.then(() => clearTimeout(timer));
    void this.#discard();
  }

  #next(): Promise<IteratorResult<T, undefined>> {
    this.#reading ??= this.#read();
    return this.#reading;
  }

  async #read(): Promise<IteratorResult<T, undefined>> {
    const next = await this.#stream.receive();
    this.#reading = undefined;
    return next.done ? { done: true, value: undefined } : next;
  }

  async #discard(): Promise<void> {
    try {
      while ((await this.#next()).done !== true);
    } catch {
      // It was reset: that is an end, too.
    }
  }
}
