import { types } from 'node:util';
import { errorText, type Identity } from '@routy/proto/base';
import type { Agreement, StreamCode } from '@routy/proto/wire';
import { expectSignalOption } from '../../arguments/arguments.ts';
import type { Meter } from '../../stats/statistics.ts';
import { AsyncByteStream } from '../../streams/adapters/async-byte-stream.ts';
import { expectReset, resetCodeOf } from '../../streams/adapters/byte-channel.ts';
import { expectReceiver, GuardedReceiver } from '../../streams/adapters/guarded-receiver.ts';
import {
  expectMessageOptions,
  MESSAGE_BYTES,
  type MessageCodec,
  type MessageStreamOptions,
} from '../../streams/adapters/message-options.ts';
import { MessageStream } from '../../streams/adapters/message-stream.ts';
import { StreamDuplex } from '../../streams/adapters/stream-duplex.ts';
import type { ByteReceiver } from '../../streams/byte-stream.ts';
import { LinkError } from '../../transport/link-error.ts';
import type { StreamJoint, StreamOutcome } from './stream-joint.ts';
import { expectRequest, openRequest, type StreamRequest } from './stream-request.ts';
import { type AnyMessages, answerTurn, askTurn, type JudgeTurn } from './turns.ts';

/** What a stream speaks, as both of its ends know. */
export interface StreamFacts {
  readonly protocol: string;
  /** What was asked for beside the protocol; `main` where nothing was. */
  readonly service: string;
  readonly picked: Agreement;
  /** What its counts are summed by. */
  readonly class: string;
}

/** Takes a turn: judges what is asked for, and gives the stream that it has become; undefined: refused. */
export type TakeTurn = (
  judge: JudgeTurn,
) => Promise<((className: string) => LinkStream) | undefined>;

/** What the accepting end does when the peer goes on in another protocol. */
export type GoOn = (take: TakeTurn) => Promise<void>;

/** Which of its two ends this is, and what begins when it goes on in another protocol. */
export type StreamPart =
  | { readonly role: 'opener'; begin(facts: StreamFacts): void }
  | { readonly role: 'acceptor'; begin(facts: StreamFacts): void; readonly goOn: GoOn };

/**
 * A stream that both ends have agreed on. It is used by one of its forms, `messages`, `bytes`,
 * `duplex` or `join`, at any time; until then the peer may send no more than its window. It is over when
 * both ends have ended it and read what the other has sent, or one has reset it.
 */
export class LinkStream {
  /** Who is at the other end. */
  readonly peer: Identity;
  /** Name of what both speak on it. */
  readonly protocol: string;
  /** What was asked for beside the protocol; `main` where nothing was. */
  readonly service: string;
  /** The version of the protocol that both speak. */
  readonly version: number;
  /** The optional parts of the protocol that both can use. */
  readonly capabilities: readonly string[];
  /** What its counts are summed by. */
  readonly class: string;
  readonly #joint: StreamJoint;
  readonly #part: StreamPart;
  #messages: AnyMessages | undefined;
  #isTurning = false;

  /** For the link. */
  constructor(joint: StreamJoint, facts: StreamFacts, part: StreamPart) {
    this.peer = joint.stream!.peer;
    this.protocol = facts.protocol;
    this.service = facts.service;
    this.version = facts.picked.version;
    this.capabilities = facts.picked.capabilities;
    this.class = facts.class;
    this.#joint = joint;
    this.#part = part;
  }

  /** How it ended; undefined while it goes on. */
  get outcome(): StreamOutcome | undefined {
    return this.#joint.outcome;
  }

  /** As a Node stream; half-close is `end()`. */
  duplex(options: { readonly signal?: AbortSignal } = {}): StreamDuplex {
    this.#mustBeFree();
    const duplex = new StreamDuplex(options);
    this.#joint.join(duplex.receiver);
    return duplex;
  }

  /** As chunks of bytes, with promises. */
  bytes(options: { readonly signal?: AbortSignal } = {}): AsyncByteStream {
    this.#mustBeFree();
    const bytes = new AsyncByteStream(options);
    this.#joint.join(bytes.receiver);
    return bytes;
  }

  /**
   * As messages, each written and read by the codec of the version that was agreed on.
   *
   * @throws LinkError `argument-invalid`, also when there is none for it; `stream-in-use`
   */
  messages<T>(options: MessageStreamOptions<T>): MessageStream<T> {
    this.#mustBeFree();
    expectMessageOptions(options);
    const { maxBytes = MESSAGE_BYTES } = options;
    const codec = options.codecs[this.version];
    if (codec === undefined) throw noCodec(this.protocol, this.version);
    const codecs = { [this.version]: counted(codec, this.#joint, maxBytes) };
    const messages = new MessageStream<T>({ ...options, codecs });
    this.#messages = messages as unknown as AnyMessages;
    if (this.#part.role === 'acceptor') messages.onTurn = () => void this.#takeTurn();
    this.#joint.join(messages.receiver);
    return messages;
  }

  /**
   * Goes on in another protocol on the same stream: ends this side's part of the conversation, waits for
   * the peer to end its part, and agrees anew. For the end that has opened the stream, and for one that
   * is used as messages; what the peer still says is read as before. At the peer the accept function of
   * the next protocol takes it, once that of this one has ended.
   *
   * @throws StreamResetError with the peer's code (`unsupported-version`, …), LinkError
   *   `become-too-late` when the peer has ended the stream, or what `signal` fired with: the stream has
   *   ended then. LinkError `argument-invalid`, `stream-in-use` when it cannot be asked for: it goes on
   */
  async become(
    request: StreamRequest,
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<LinkStream> {
    expectRequest('it cannot become this', request);
    expectSignalOption(options);
    const messages = this.#messages;
    if (this.#part.role === 'acceptor')
      throw new LinkError('argument-invalid', 'the end that opened it says what it becomes');
    if (messages === undefined)
      throw new LinkError('argument-invalid', 'only a stream of messages becomes another');
    if (this.#isTurning)
      throw new LinkError('stream-in-use', 'the stream becomes another already, and once only');
    this.#isTurning = true;
    const asked = openRequest(request);
    const picked = await askTurn(messages, asked, options.signal);
    const { protocol, service } = asked;
    return this.#next({ protocol, service, picked, class: request.class ?? protocol });
  }

  /** What passes from now on counts for this meter too, as that of a conversation. */
  countFor(meter: Meter): void {
    this.#joint.countFor(meter);
  }

  /**
   * Ends in a receiver of one's own; see `@routy/link/streams`. What it throws resets the stream.
   *
   * @throws LinkError `argument-invalid`, `stream-in-use`
   */
  join(receiver: ByteReceiver): void {
    expectReceiver(receiver);
    this.#mustBeFree();
    this.#joint.join(new GuardedReceiver(receiver));
  }

  /** It has one form, for as long as it lasts. */
  #mustBeFree(): void {
    if (!this.#joint.hasReceiver) return;
    throw new LinkError('stream-in-use', `the stream of ${this.protocol} is in use already`, {
      hint: 'it is used in one form: keep what messages(), bytes() or duplex() gave',
    });
  }

  /** Both sides of the conversation are over, and the peer wants to go on. */
  async #takeTurn(): Promise<void> {
    if (this.#part.role === 'opener') return;
    try {
      await this.#part.goOn(async (judge) => {
        const agreed = await answerTurn(this.#messages!, judge);
        if (agreed === undefined) return undefined;
        const { request, picked } = agreed;
        return (className) =>
          this.#next({
            protocol: request.protocol,
            service: request.service,
            picked,
            class: className,
          });
      });
    } catch (error) {
      this.reset(resetCodeOf(error), errorText(error));
    }
  }

  /** The same stream behind the turn. */
  #next(facts: StreamFacts): LinkStream {
    this.#joint.part(this.#messages!.release());
    this.#part.begin(facts);
    return new LinkStream(this.#joint, facts, this.#part);
  }

  /** Ends both directions at once. */
  reset(code: StreamCode = 'cancelled', reason = 'reset'): void {
    expectReset(code, reason);
    this.#joint.abort(code, reason);
  }
}

/** Messages are counted where they have become bytes, and where bytes have become messages. */
function counted<T>(codec: MessageCodec<T>, joint: StreamJoint, maxBytes: number): MessageCodec<T> {
  return {
    encode: (message) => {
      const bytes = codec.encode(message);
      // Others are not sent.
      if (types.isUint8Array(bytes) && bytes.length <= maxBytes) joint.messageSent();
      return bytes;
    },
    decode: (bytes) => {
      const message = codec.decode(bytes);
      joint.messageReceived();
      return message;
    },
  };
}

function noCodec(protocol: string, version: number): LinkError {
  const text = `${protocol}: there is no codec for version ${version}`;
  return new LinkError('argument-invalid', text, {
    hint: 'codecs has one for each version that is offered',
  });
}
