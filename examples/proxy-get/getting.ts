import type { Peer } from '@routy/link';
import { CODECS, type Head, type Message } from './messages.ts';
import type { Patience } from './patience.ts';

/** Where a value goes that was asked for. */
export interface Sink {
  /** Called once, before the first byte. */
  head(head: Head): void;
  /** Resolves when it takes more. */
  write(bytes: Uint8Array): Promise<void>;
}

/** What has been got of one value, over as many streams as it takes. */
export class Getting {
  readonly #key: string;
  readonly #sink: Sink;
  readonly #patience: Patience;
  #head: Head | undefined;
  #bytes = 0;

  constructor(key: string, sink: Sink, patience: Patience) {
    this.#key = key;
    this.#sink = sink;
    this.#patience = patience;
  }

  /**
   * Gets the rest from a peer. False: there is no such value.
   *
   * @throws ChangedError, or what the stream ends with; then it may be called again
   */
  async from(peer: Peer): Promise<boolean> {
    const { signal } = this.#patience;
    const request = { protocol: 'get', class: 'proxy-get', service: this.#key };
    const stream = await peer.request(request, { signal });
    const messages = stream.messages({ codecs: CODECS, signal });
    await messages.send({ from: this.#bytes });
    messages.end();
    let isThere = true;
    for await (const message of messages) {
      if ('missing' in message) isThere = false;
      else await this.#take(message);
    }
    if (!isThere && this.#head === undefined) return false;
    if (!isThere) throw new ChangedError();
    if (this.#bytes !== this.#head?.size) throw new Error('the value was cut short');
    return true;
  }

  async #take(message: Message): Promise<void> {
    if (message instanceof Uint8Array) {
      this.#bytes += message.length;
      // Who takes the value may be slow; that is not the peer's fault.
      this.#patience.pause();
      await this.#sink.write(message);
      this.#patience.renew();
    } else if ('size' in message) {
      if (this.#head === undefined) this.#sink.head(message);
      else if (this.#head.version !== message.version) throw new ChangedError();
      this.#head = message;
    }
  }
}

/** The value is another one than when the first of it was sent. */
export class ChangedError extends Error {
  constructor() {
    super('the value has changed while it was sent');
  }
}
