/**
 * Conversations over any channel of messages, established again by themselves; `link.converse` makes
 * those over streams.
 *
 * @module @routy/link/behaviours
 */
export type {
  Behaviour,
  ConversationOptions,
  ConversationStatus,
  EstablishedInfo,
  PeerAccess,
  RetryInfo,
} from './behaviour.ts';
export type { MessageChannel, OpenChannel } from './channel.ts';
export { Conversation } from './conversation.ts';
export { ConversationError, type ConversationErrorCode, type RetryKind } from './failure.ts';
