import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { LinkStream, Peer } from '@routy/link';
import type { MessageCodec } from '@routy/link/streams';

/** Keys that can be asked for: nothing that leads out of the directory. */
export const KEY = /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}$/;

/** What is sent first: which value it is, and that it begins at the byte that was asked for. */
export interface Head {
  readonly size: number;
  /** Another one when the value has changed: then the rest of it does not fit what was sent. */
  readonly version: string;
}

/** From who asks: where to begin. From who has it: what it is, or that it is not there; then bytes. */
export type Message = { readonly from: number } | Head | { readonly missing: true } | Uint8Array;

const IS_BYTES = 0;
const IS_JSON = 1;

/** One byte says which of the two the rest is. */
const CODEC: MessageCodec<Message> = {
  encode: (message) =>
    message instanceof Uint8Array
      ? Buffer.concat([Buffer.of(IS_BYTES), message])
      : Buffer.concat([Buffer.of(IS_JSON), Buffer.from(JSON.stringify(message))]),
  decode: (bytes) => {
    const rest = bytes.subarray(1);
    return bytes[0] === IS_BYTES ? rest : (JSON.parse(Buffer.from(rest).toString()) as Message);
  },
};

export const CODECS = { 1: CODEC };

/** Sends the value of a key, a file of a directory, from the byte on that the other end says. */
export async function sendValue(stream: LinkStream, directory: string, key: string): Promise<void> {
  const messages = stream.messages({ codecs: CODECS });
  const first = await messages.receive();
  if (first.done || !('from' in first.value)) throw new Error('where to begin was not said');
  const { from } = first.value;
  const path = join(directory, key);
  const found = KEY.test(key) ? await stat(path).catch(() => undefined) : undefined;
  if (found === undefined) {
    await messages.send({ missing: true });
  } else {
    await messages.send({ size: found.size, version: `${found.size}-${found.mtimeMs}` });
    for await (const piece of createReadStream(path, { start: from })) {
      await messages.send(piece as Buffer);
    }
  }
  messages.end();
  // Until the other end is done with it, too.
  await messages.receive();
}

/** Where a value goes that was asked for. */
export interface Sink {
  /** Called once, before the first byte. */
  head(head: Head): void;
  /** Resolves when it takes more. */
  write(bytes: Uint8Array): Promise<void>;
}

/** What has been got of one value, over as many streams as it takes. */
export class Getting {
  readonly #sink: Sink;
  #head: Head | undefined;
  #bytes = 0;

  constructor(sink: Sink) {
    this.#sink = sink;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Gets the rest from a peer; `opening` limits how long the stream may take to come. False: there is
   * no such value. Throws what a stream ends with.
   */
  async from(
    peer: Peer,
    key: string,
    { opening, signal }: { opening: AbortSignal; signal: AbortSignal },
  ): Promise<boolean> {
    const request = { protocol: 'get', class: 'proxy-get', service: key };
    const stream = await peer.request(request, { signal: opening });
    const messages = stream.messages({ codecs: CODECS, signal });
    await messages.send({ from: this.#bytes });
    messages.end();
    for await (const message of messages) {
      if (message instanceof Uint8Array) {
        this.#bytes += message.length;
        await this.#sink.write(message);
      } else if ('missing' in message) {
        return false;
      } else if ('size' in message) {
        this.#begin(message);
      }
    }
    if (this.#bytes < (this.#head?.size ?? Number.POSITIVE_INFINITY)) throw new Error('cut short');
    return true;
  }

  #begin(head: Head): void {
    if (this.#head === undefined) this.#sink.head(head);
    else if (this.#head.version !== head.version) throw new ChangedError();
    this.#head = head;
  }
}

/** The value is another one than when the first of it was sent. */
export class ChangedError extends Error {
  constructor() {
    super('the value has changed while it was sent');
  }
}
