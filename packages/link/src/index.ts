/**
 * A node of a fabric in a program of one's own: `createLink` makes it, and all else is made by that.
 * docs/LINK.md is the guide.
 *
 * @module @routy/link
 */
export { type Identity, RoutyError } from '@routy/proto/base';
export type { StreamCode } from '@routy/proto/wire';
export type {
  ConversationStatus,
  PeerAccess,
  RetryInfo,
} from './behaviours/behaviour.ts';
export { ConversationError } from './behaviours/failure.ts';
export type { DriverStats, PingSample } from './driver/driver-types.ts';
export type { SessionLimits, SessionTimes } from './driver/session-options.ts';
export type {
  ConversationInfo,
  ConverseOptions,
  LinkBehaviour,
  LinkConversation,
} from './link/conversing.ts';
export type { Destination, DiallingOptions } from './link/destinations.ts';
export type { LinkEvents } from './link/link-events.ts';
export { createLink, type Link, type ListenAt } from './link/link.ts';
export type { LinkOptions } from './link/link-options.ts';
export type { Refused } from './link/peer/accepted-peers.ts';
export type { DialOptions } from './link/peer/dialled-peer.ts';
export type { Peer, PeerEvents, PeerState } from './link/peer/peer.ts';
export type { ProtocolOptions } from './link/protocol-options.ts';
export type { Vitals } from './link/session/link-session.ts';
export type { LinkStream } from './link/session/link-stream.ts';
export type { StreamRequest } from './link/session/stream-request.ts';
export type { StreamOutcome } from './link/session/stream-joint.ts';
export type { TransportMaker } from './link/transports.ts';
export type { Candidate } from './locators/candidate.ts';
export type { Locator, LocatorContext } from './locators/inquiry.ts';
export type { LogicalName } from './locators/logical-name.ts';
export type { NatRule } from './locators/nat-map.ts';
export { StreamResetError } from './streams/adapters/byte-channel.ts';
export type { MessageCodec } from './streams/adapters/message-options.ts';
export type { MessageStream } from './streams/adapters/message-stream.ts';
export { LinkError, type LinkErrorCode } from './transport/link-error.ts';
export type { TlsCredentials } from './transport/tls/credentials.ts';
export type { TransportAddress, TransportListener } from './transport/transport.ts';
