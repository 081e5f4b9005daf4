export type {
  ConversationInfo,
  ConverseOptions,
  LinkBehaviour,
  LinkConversation,
} from './link/conversing.ts';
export type { Destination, DiallingOptions } from './link/destinations.ts';
export type { LinkEvents } from './link/link-events.ts';
export { createLink, type Link, type ListenAt, type ProtocolOptions } from './link/link.ts';
export type { LinkOptions } from './link/link-options.ts';
export type { Refused } from './link/peer/accepted-peers.ts';
export type { DialOptions } from './link/peer/dialled-peer.ts';
export type { Peer, PeerEvents, PeerState } from './link/peer/peer.ts';
export type { Vitals } from './link/session/link-session.ts';
export type { LinkStream } from './link/session/link-stream.ts';
export type { StreamRequest } from './link/session/stream-request.ts';
export type { StreamOutcome } from './link/session/stream-joint.ts';
export type { TransportMaker } from './link/transports.ts';
