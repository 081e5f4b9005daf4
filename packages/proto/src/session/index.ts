/**
 * The session without IO: bytes and the time in, bytes and events out.
 *
 * @module @routy/proto/session
 */
export type { SessionEvent } from './events.ts';
export { ByteQueue } from './flow/byte-queue.ts';
export { FairPool } from './flow/fair-pool.ts';
export { ownHelloFault, type Prove, type Refusal } from './lanes/handshake.ts';
export { timesAsSettings } from './lanes/settings.ts';
export { PendingHandshake } from './lanes/pending-handshake.ts';
export {
  agreementFault,
  negotiate,
  noCommonVersion,
  notSpoken,
  type Offer,
  PLAIN,
} from './negotiation.ts';
export type { HandshakeOptions, SessionOptions } from './options.ts';
export { Session } from './session.ts';
export type { Absorb } from './streams/stream-receiver.ts';
export type { LaneFacts } from './streams/lane-set.ts';
