import type { Identity } from '@routy/proto/base';
import type { Agreement, StreamCode } from '@routy/proto/wire';
import type { Meter } from '../../stats/statistics.ts';
import { AsyncByteStream } from '../../streams/adapters/async-byte-stream.ts';
import {
  type MessageCodec,
  MessageStream,
  type MessageStreamOptions,
} from '../../streams/adapters/message-stream.ts';
import { StreamDuplex } from '../../streams/adapters/stream-duplex.ts';
import type { ByteReceiver } from '../../streams/byte-stream.ts';
import type { StreamJoint, StreamOutcome } from './stream-joint.ts';

/** What a stream speaks, as both of its ends know. */
export interface StreamFacts {
  readonly protocol: string;
  /** What was asked for beside the protocol; `main` where nothing was. */
  readonly service: string;
  readonly picked: Agreement;
  /** What its counts are summed by. */
  readonly class: string;
}

/**
 * A stream that both ends have agreed on. It is used by one of its forms, `messages`, `bytes`,
 * `duplex` or `join`, at any time; until then the peer may send no more than its window.
 */
export class LinkStream {
  /** Who is at the other end. */
  readonly peer: Identity;
  readonly protocol: string;
  readonly service: string;
  /** The version of the protocol that both speak. */
  readonly version: number;
  /** The optional parts of the protocol that both can use. */
  readonly capabilities: readonly string[];
  /** What its counts are summed by. */
  readonly class: string;
  readonly #joint: StreamJoint;

  /** For the link. */
  constructor(joint: StreamJoint, facts: StreamFacts) {
    this.peer = joint.stream!.peer;
    this.protocol = facts.protocol;
    this.service = facts.service;
    this.version = facts.picked.version;
    this.capabilities = facts.picked.capabilities;
    this.class = facts.class;
    this.#joint = joint;
  }

  /** How it ended; undefined while it goes on. */
  get outcome(): StreamOutcome | undefined {
    return this.#joint.outcome;
  }

  /** As a Node stream; half-close is `end()`. */
  duplex(options: { readonly signal?: AbortSignal } = {}): StreamDuplex {
    const duplex = new StreamDuplex(options);
    this.join(duplex.receiver);
    return duplex;
  }

  /** As chunks of bytes, with promises. */
  bytes(options: { readonly signal?: AbortSignal } = {}): AsyncByteStream {
    const bytes = new AsyncByteStream(options);
    this.join(bytes.receiver);
    return bytes;
  }

  /**
   * As messages, each written and read by the codec of the version that was agreed on.
   *
   * @throws TypeError when there is none for it
   */
  messages<T>(options: MessageStreamOptions<T>): MessageStream<T> {
    const codec = options.codecs[this.version];
    if (codec === undefined) {
      throw new TypeError(`${this.protocol}: there is no codec for version ${this.version}`);
    }
    const codecs = { [this.version]: counted(codec, this.#joint) };
    const messages = new MessageStream<T>({ ...options, codecs });
    this.join(messages.receiver);
    return messages;
  }

  /** What passes from now on counts for this meter too, as that of a conversation. */
  countFor(meter: Meter): void {
    this.#joint.countFor(meter);
  }

  /** Ends in a receiver of one's own; see `@routy/link/streams`. */
  join(receiver: ByteReceiver): void {
    if (this.#joint.hasReceiver) throw new TypeError('the stream is in use already');
    this.#joint.join(receiver);
  }

  /** Ends both directions at once. */
  reset(code: StreamCode = 'cancelled', reason = 'reset'): void {
    this.#joint.abort(code, reason);
  }
}

/** Messages are counted where they become bytes, and where bytes become messages. */
function counted<T>(codec: MessageCodec<T>, joint: StreamJoint): MessageCodec<T> {
  return {
    encode: (message) => {
      joint.countMessage('sent');
      return codec.encode(message);
    },
    decode: (bytes) => {
      joint.countMessage('received');
      return codec.decode(bytes);
    },
  };
}
