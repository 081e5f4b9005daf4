import type { OpenChannel } from './channel.ts';
import type { ConversationError, RetryKind } from './failure.ts';

/** What `established` is told. */
export interface EstablishedInfo {
  /** 1 for the first time. */
  readonly establishment: number;
  /** Attempts in a row that failed before. */
  readonly failedAttempts: number;
}

/** When a conversation that failed is tried again. */
export interface RetryInfo {
  /** From 0: the retry after a channel that was up goes at once. */
  readonly attempt: number;
  /** How long it waits now, in ms. */
  readonly delayMs: number;
  /**
   * Why, as far as it decides how long to wait: a peer that drains is asked again at one pace, by
   * attempts that do not count; a network that fails for up to 0.8 s; the others up to 10 s.
   */
  readonly kind: RetryKind;
}

/** How a conversation stands; the counts are since it was begun. */
export interface ConversationStatus {
  /** `opening`: a channel is asked for. `backoff`: it waits for the next attempt. `ended`: for good. */
  readonly state: 'opening' | 'established' | 'backoff' | 'ended';
  /** How often it was established. */
  readonly establishments: number;
  /** How often it was tried again. */
  readonly retries: number;
  /** Callbacks that threw. */
  readonly callbackErrors: number;
  /** Casts while it was not established. */
  readonly drops: number;
  /** Why it was tried again, or ended, last; undefined before. */
  readonly lastFailure: ConversationError | undefined;
}

/** The peer, for a callback, while this establishment lasts. */
export interface PeerAccess<Message> {
  /**
   * Resolves when there is credit for a further message. Rejects with ConversationError
   * `message-refused` when the message cannot be said, as it is too large or its codec throws: nothing
   * of it is sent, and the establishment goes on; and with why that is over, when it is.
   */
  readonly send: (message: Message) => Promise<void>;
  /** Fires when the establishment is over, or nobody waits for the answer any more. */
  readonly signal: AbortSignal;
}

/**
 * What the owner does in a conversation. One that throws ends it with `conversation-callback`. Messages
 * are handled one after the other; `next`, calls and casts run beside them, so that a slow half does
 * not hold up the other. All must settle soon after their signal fires.
 */
export interface Behaviour<Message, Request, Answer, Info = EstablishedInfo> {
  /** Once, before anything else. */
  init?(signal: AbortSignal): void | Promise<void>;
  /** At each establishment, before anything else of it. */
  established?(info: Info, peer: PeerAccess<Message>): void | Promise<void>;
  /** A message of the peer. */
  message?(message: Message, peer: PeerAccess<Message>): void | Promise<void>;
  /** What `Conversation.call` is answered with. */
  call?(request: Request, peer: PeerAccess<Message>): Answer | Promise<Answer>;
  /** What `Conversation.cast` is for. */
  cast?(request: Request, peer: PeerAccess<Message>): void | Promise<void>;
  /**
   * The next message for the peer, asked for when there is credit for it; undefined: there will be no
   * more in this establishment. One that cannot be said ends the conversation as if `next` had thrown.
   */
  next?(signal: AbortSignal): Promise<Message | undefined>;
  /**
   * Told before each wait, with the reason, and the wait begins when it is done; also told of the waits of
   * a dialler while there is no session, which go on meanwhile.
   */
  retry?(failure: ConversationError, info: RetryInfo): void | Promise<void>;
  /** Told at each change of state. */
  status?(status: ConversationStatus): void;
}

/** What a conversation is made of. */
export interface ConversationOptions<Message, Request, Answer> {
  /** Opens what the conversation runs over, each time anew. */
  readonly open: OpenChannel<Message>;
  /** What the owner does in it. */
  readonly behaviour: Behaviour<Message, Request, Answer>;
  /** Stops the conversation, whatever it does at the moment. */
  readonly signal: AbortSignal;
  /** Uniform in [0, 1); tests have their own. */
  readonly random01?: () => number;
}
