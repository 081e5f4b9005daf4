import type { MessageChannel } from '../../../packages/link/src/behaviours/index.ts';

/** One end of a channel of strings, whose other end is the test. */
export class MemoryChannel implements MessageChannel<string> {
  readonly sent: string[] = [];
  readonly closed: Promise<unknown>;
  isClosed = false;
  #credit: number;
  #end!: (error: unknown) => void;
  #error: unknown;
  readonly #inbox: string[] = [];
  readonly #wakers = new Set<() => void>();

  constructor(credit: number) {
    this.#credit = credit;
    this.closed = new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  get isOpen(): boolean {
    return !this.isClosed;
  }

  get messages(): AsyncIterable<string> {
    return this.#receive();
  }

  async send(message: string): Promise<void> {
    while (this.#credit === 0 && !this.isClosed) await this.#woken();
    if (this.isClosed) throw this.#error ?? new Error('closed');
    this.#credit--;
    this.sent.push(message);
  }

  close(): void {
    this.#over(undefined);
  }

  /** The lane under it is lost, say. */
  die(error: Error): void {
    this.#over(error);
  }

  /** The peer sends. */
  deliver(message: string): void {
    this.#inbox.push(message);
    this.#wake();
  }

  /** The peer takes so many more messages. */
  grant(messages: number): void {
    this.#credit += messages;
    this.#wake();
  }

  async *#receive(): AsyncGenerator<string, void, void> {
    for (;;) {
      const message = this.#inbox.shift();
      if (message !== undefined) yield message;
      else if (this.#error !== undefined) throw this.#error;
      else if (this.isClosed) return;
      else await this.#woken();
    }
  }

  #over(error: unknown): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.#error = error;
    this.#end(error);
    this.#wake();
  }

  #woken(): Promise<void> {
    return new Promise((resolve) => {
      this.#wakers.add(resolve);
    });
  }

  #wake(): void {
    for (const waker of this.#wakers) waker();
    this.#wakers.clear();
  }
}
