import { performance } from 'node:perf_hooks';
import { expectFunction, expectObject, expectSignal, type KeysOf } from '../arguments/arguments.ts';
import type { Behaviour, ConversationStatus, EstablishedInfo } from '../behaviours/behaviour.ts';
import type { OpenChannel } from '../behaviours/channel.ts';
import { Conversation } from '../behaviours/conversation.ts';
import type { ConversationError } from '../behaviours/failure.ts';
import type { Meter, Statistics } from '../stats/statistics.ts';
import { expectMessageOptions, type MessageCodec } from '../streams/adapters/message-options.ts';
import { StreamChannel } from './message-channel.ts';
import type { Peer } from './peer/peer.ts';
import type { Vitals } from './session/link-session.ts';
import type { LinkStream } from './session/link-stream.ts';
import { expectRequest, type StreamRequest } from './session/stream-request.ts';

/** What `established` is told of a conversation of a link. */
export interface ConversationInfo extends EstablishedInfo {
  /** Whose stream it is; another one may serve the next establishment. */
  readonly peer: Peer;
  /** What was agreed on: version, capabilities, and who it is. */
  readonly stream: LinkStream;
}

/** A behaviour that is told whom it speaks with; see `Behaviour` of `@routy/link/behaviours`. */
export type LinkBehaviour<Message, Request = never, Answer = never> = Behaviour<
  Message,
  Request,
  Answer,
  ConversationInfo
>;

/** What a conversation speaks, and what it does. */
export interface ConverseOptions<Message, Request, Answer> extends Omit<StreamRequest, 'versions'> {
  /** By version of the protocol: those are the versions that are offered. */
  readonly codecs: Readonly<Record<number, MessageCodec<Message>>>;
  /** Most bytes of one message, both ways; 1 MiB by default. */
  readonly maxBytes?: number;
  /** What the owner does in it. */
  readonly behaviour: LinkBehaviour<Message, Request, Answer>;
  /** Stops the conversation. */
  readonly signal?: AbortSignal | undefined;
}

const KEYS: KeysOf<ConverseOptions<never, never, never>> = {
  protocol: true,
  capabilities: true,
  service: true,
  class: true,
  answerMs: true,
  codecs: true,
  maxBytes: true,
  behaviour: true,
  signal: true,
};

const METHODS: KeysOf<LinkBehaviour<never>> = {
  init: true,
  established: true,
  message: true,
  call: true,
  cast: true,
  next: true,
  retry: true,
  status: true,
};

/** @throws LinkError `argument-invalid` */
export function expectConversation<M, R, A>(options: ConverseOptions<M, R, A>): void {
  expectObject('options', options, KEYS);
  const { codecs, maxBytes, behaviour, signal } = options;
  expectSignal(signal, 'options.signal');
  expectMessageOptions({ codecs, ...(maxBytes !== undefined && { maxBytes }) });
  expectRequest('this conversation', requestOf(options));
  expectObject('behaviour', behaviour, METHODS);
  for (const name of Object.keys(METHODS) as (keyof typeof METHODS)[])
    expectFunction(`behaviour.${name}`, behaviour[name]);
}

/** How conversations of one link find their peers. */
interface ConverseGround {
  readonly statistics: Statistics;
  /** The peer to open the next stream at; waits for one. */
  findPeer(signal: AbortSignal): Promise<Peer>;
  /** The conversation is over, or that of the link is. */
  readonly signal: AbortSignal;
}

/** A conversation that is established again by itself, on whichever session there is. */
export class LinkConversation<Message, Request = never, Answer = never> {
  readonly #conversation: Conversation<Message, Request, Answer>;
  readonly #meter: Meter;
  #peer: Peer | undefined;
  #isEndHeard = false;

  /** For the link. */
  constructor(options: ConverseOptions<Message, Request, Answer>, ground: ConverseGround) {
    const { protocol, class: className = protocol } = options;
    const { statistics, signal } = ground;
    const request = requestOf(options);
    this.#meter = statistics.begin(performance.now(), 'conversation', className, protocol);
    let opened: LinkStream | undefined;
    const open: OpenChannel<Message> = async (wanted, goesOn) => {
      const peer = await ground.findPeer(wanted);
      // Its dialler does not give up: what keeps it is told meanwhile.
      const leave = peer.followAttempts(goesOn);
      opened = await peer.open(request, { signal: wanted }).finally(leave);
      this.#peer = peer;
      opened.countFor(this.#meter);
      const { codecs, maxBytes } = options;
      const limit = maxBytes === undefined ? {} : { maxBytes };
      return new StreamChannel(opened.messages({ codecs, ...limit }));
    };
    const behaviour = this.#tellingWhom(options.behaviour, () => opened!);
    this.#conversation = new Conversation({ open, behaviour, signal });
    this.#isEndHeard = options.behaviour.status !== undefined;
    void this.over.then((failure) => {
      this.#meter.end();
      if (failure !== undefined && !this.#isEndHeard) warnOfEnd(failure, protocol);
    });
  }

  /**
   * Resolves once, last: with nothing when it was stopped, with the failure of a callback otherwise. Where
   * neither this was asked for nor the behaviour has `status`, a failure is a warning of the process.
   */
  get ended(): Promise<ConversationError | undefined> {
    this.#isEndHeard = true;
    return this.#conversation.ended;
  }

  /** @internal {@link ended} for the link, which is not who has to hear of a failure. */
  get over(): Promise<ConversationError | undefined> {
    return this.#conversation.ended;
  }

  /** How it stands, and counts since it was begun. */
  get status(): ConversationStatus {
    return this.#conversation.status;
  }

  /** How the peer of the last establishment lives, by heartbeats alone. */
  get vitals(): Vitals | undefined {
    return this.#peer?.vitals;
  }

  /** Asks the behaviour; waits for an establishment if there is none, `timeoutMs` in all. */
  call(request: Request, timeoutMs: number): Promise<Answer> {
    return this.#conversation.call(request, timeoutMs);
  }

  /**
   * Tells the behaviour. False, and counted as dropped, while it is not established.
   *
   * @throws LinkError `argument-invalid` when the behaviour has no `cast`
   */
  cast(request: Request): boolean {
    const isTold = this.#conversation.cast(request);
    if (!isTold) this.#meter.dropped();
    return isTold;
  }

  /** The same behaviour, whose methods stay its own, with more said to `established`. */
  #tellingWhom(
    own: LinkBehaviour<Message, Request, Answer>,
    stream: () => LinkStream,
  ): Behaviour<Message, Request, Answer> {
    return {
      established: (info, access) =>
        own.established?.({ ...info, peer: this.#peer!, stream: stream() }, access),
      retry: (failure, info) => {
        this.#meter.retried();
        return own.retry?.(failure, info);
      },
      ...(own.init && { init: own.init.bind(own) }),
      ...(own.message && { message: own.message.bind(own) }),
      ...(own.call && { call: own.call.bind(own) }),
      ...(own.cast && { cast: own.cast.bind(own) }),
      ...(own.next && { next: own.next.bind(own) }),
      ...(own.status && { status: own.status.bind(own) }),
    };
  }
}

/** A conversation that is over without anybody knowing would be missed much later, and somewhere else. */
function warnOfEnd(failure: ConversationError, protocol: string): void {
  process.emitWarning(
    `the conversation in ${protocol} has ended by a failure: ${failure.message}`,
    {
      code: 'ROUTY_CONVERSATION_FAILED',
      detail:
        'await conversation.ended, which resolves with the failure, to hear of it instead of this warning',
    },
  );
}

function requestOf<M, R, A>(options: ConverseOptions<M, R, A>): StreamRequest {
  const { protocol, capabilities, service, class: className, answerMs, codecs } = options;
  return {
    protocol,
    versions: Object.keys(codecs).map(Number),
    ...(capabilities !== undefined && { capabilities }),
    ...(service !== undefined && { service }),
    ...(className !== undefined && { class: className }),
    ...(answerMs !== undefined && { answerMs }),
  };
}
