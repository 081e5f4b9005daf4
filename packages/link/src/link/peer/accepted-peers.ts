import type { LaneEnd, SessionDriverApi, SessionEnd } from '../../driver/driver-types.ts';
import type { HandshakeEnd } from '../../driver/lanes/pending-lane.ts';
import { endText } from '../../peers/end-text.ts';
import type { ProcessSessions } from '../../peers/process-sessions.ts';
import {
  type AcceptedSession,
  type AcceptorOwner,
  SessionAcceptor,
} from '../../peers/session-acceptor.ts';
import type { Lane } from '../../transport/lane.ts';
import { LinkSession, type SessionFollower } from '../session/link-session.ts';
import { Peer, type PeerKeeper } from './peer.ts';

/** A connection that was turned away, before or after it said who it is. */
export interface Refused {
  /** `host:port` it came from. */
  readonly remoteAddress: string;
  /**
   * Stable, for programs: a lane code such as `settings-mismatch`, or what the handshake failed with.
   */
  readonly code: string;
  /** One line for people. */
  readonly reason: string;
}

/** What accepted peers are to the link. */
export interface AcceptanceOwner extends PeerKeeper {
  onPeer(peer: Peer): void;
  onRefused(refused: Refused): void;
}

/** Peers that have dialled here, over transports of one kind: those that prove who it is, or do not. */
export class AcceptedPeers implements AcceptorOwner {
  readonly acceptor: SessionAcceptor;
  readonly owner: AcceptanceOwner;
  readonly #sessions: ProcessSessions;

  constructor(sessions: ProcessSessions, owner: AcceptanceOwner) {
    this.#sessions = sessions;
    this.owner = owner;
    this.acceptor = new SessionAcceptor(sessions, this);
  }

  begin(accepted: AcceptedSession): SessionDriverApi {
    const follower = new AcceptedFollower(this, accepted);
    const { firstLane } = accepted;
    const session = new LinkSession(
      firstLane.peer,
      this.#sessions.isProven(firstLane),
      this.owner,
      follower,
    );
    return session.drivenBy(this.#sessions.accepted(firstLane, accepted.sessionId, session));
  }

  refused({ remoteAddress }: Lane, end: HandshakeEnd): void {
    this.owner.onRefused({ remoteAddress, code: end.code, reason: endText(end) });
  }
}

class AcceptedFollower implements SessionFollower {
  readonly #set: AcceptedPeers;
  readonly #accepted: AcceptedSession;
  #peer: Peer | undefined;

  constructor(set: AcceptedPeers, accepted: AcceptedSession) {
    this.#set = set;
    this.#accepted = accepted;
  }

  onUp(session: LinkSession): void {
    const { owner } = this.#set;
    const close = (reason: string) => session.driver.close('normal', reason);
    this.#peer = new Peer('accepted', owner, close);
    owner.belongs(session, this.#peer);
    this.#peer.tellUp(session);
    owner.onPeer(this.#peer);
  }

  /** A lane that is lost is the dialler's to bring back. */
  onLaneUp(): void {}
  onLaneClosed(_end: LaneEnd): void {}

  onSuspended(reason: string): void {
    this.#peer!.tellSuspended(reason);
  }

  onResumed(suspendedMs: number): void {
    this.#peer!.tellResumed(suspendedMs);
  }

  onDown(end: SessionEnd): void {
    this.#set.acceptor.ended(this.#accepted.sessionId);
    const peer = this.#peer;
    if (peer === undefined) return;
    peer.tellDown(end);
    peer.tellClosed();
  }
}
