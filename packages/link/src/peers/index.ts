/**
 * Peers that are dialled and kept up, and sessions that are accepted and displaced, below
 * `createLink`.
 *
 * @module @routy/link/peers
 */
export type { DialState, DialStatus } from './dial-scheduler.ts';
export { endText, laneEndError } from './end-text.ts';
export { type DiallerOwner, PeerDialler } from './peer-dialler.ts';
export { ProcessSessions, type SessionFactory } from './process-sessions.ts';
export {
  type AcceptedSession,
  type AcceptorOwner,
  SessionAcceptor,
} from './session-acceptor.ts';
export { Succession, type Successor } from './succession.ts';
