import type { HandshakeEnd, SessionDriverApi, SessionEnd } from '@routy/link/driver';
import {
  type AcceptedSession,
  type AcceptorOwner,
  endText,
  SessionAcceptor,
} from '@routy/link/peers';
import type { Lane } from '@routy/link/transport';
import { nodeName } from '@routy/proto/base';
import { laneHint } from '../events/lane-hint.ts';
import type { LiveSession } from '../sessions/live-sessions.ts';
import { isoTime } from '../status/clock.ts';
import type { PeerStatus } from '../status/status.ts';
import { Absences } from './absences.ts';
import type { SessionHost, SessionOwner } from './session-host.ts';

/** Sessions that other nodes began: what is told and shown of them, and of those that are missing. */
export class AcceptedSessions implements AcceptorOwner {
  readonly #host: SessionHost;
  readonly #acceptor: SessionAcceptor;
  /** By session id, until they are closed. */
  readonly #sessions = new Map<string, AcceptedOwner>();
  readonly #absences = new Absences();

  constructor(host: SessionHost) {
    this.#host = host;
    this.#acceptor = new SessionAcceptor(host.sessions, this);
  }

  onLane(lane: Lane): void {
    this.#acceptor.onLane(lane);
  }

  begin(accepted: AcceptedSession): SessionDriverApi {
    const owner = new AcceptedOwner(this, accepted);
    this.#sessions.set(accepted.sessionId, owner);
    return this.#host.accepted(accepted.firstLane, accepted.sessionId, owner);
  }

  refused(lane: Lane, end: HandshakeEnd): void {
    const { remoteAddress } = lane;
    const peer = nodeName(lane.peer);
    const { code } = end;
    if (code !== 'shutdown') {
      const reason = endText(end);
      this.#host.events.laneRefused({ peer, remoteAddress, code, reason, hint: laneHint(end) });
    }
    this.#noteAbsence(peer, remoteAddress, 'refused', end);
  }

  onUp(session: LiveSession): void {
    this.#absences.forget(session.name);
  }

  onDown({ accepted }: AcceptedOwner, end: SessionEnd, session: LiveSession | undefined): void {
    const { sessionId, peer, firstLane } = accepted;
    this.#sessions.delete(sessionId);
    this.#acceptor.ended(sessionId);
    this.#noteAbsence(peer, session?.remoteAddress ?? firstLane.remoteAddress, 'down', end);
  }

  /** Begins no session any more; lanes of those there are come in as before. */
  beginNoMore(reason: string): void {
    this.#acceptor.beginNoMore(reason);
  }

  /** Ends every session, and every lane that has none yet. */
  close(reason: string): void {
    this.#acceptor.close(reason);
  }

  status(): PeerStatus[] {
    const live = [...this.#sessions.values()].map(({ session }) => session);
    return [
      ...live.filter((session) => session !== undefined).map((each) => this.#statusOf(each)),
      ...this.#absences.status(),
    ];
  }

  /** A peer that has a session is not absent. */
  #noteAbsence(
    name: string,
    remoteAddress: string,
    state: 'down' | 'refused',
    end: HandshakeEnd,
  ): void {
    const ids = this.#acceptor.idsOf(name);
    const present = ids.some((id) => this.#sessions.get(id)?.session !== undefined);
    if (!present) this.#absences.note(this.#host.nowMs(), { name, remoteAddress }, state, end);
  }

  #statusOf(session: LiveSession): PeerStatus {
    const { trouble } = session;
    return {
      name: session.name,
      direction: 'accepted',
      addresses: [session.remoteAddress],
      state: session.driver.suspended ? 'suspended' : 'up',
      since: isoTime(session.sinceMs),
      reason: trouble?.reason ?? null,
      hint: trouble?.hint ?? null,
      attempts: 0,
      nextAttemptInMs: null,
      session: this.#host.live.status(session),
    };
  }
}

class AcceptedOwner implements SessionOwner {
  readonly accepted: AcceptedSession;
  session: LiveSession | undefined;
  readonly #set: AcceptedSessions;

  constructor(set: AcceptedSessions, accepted: AcceptedSession) {
    this.#set = set;
    this.accepted = accepted;
  }

  onUp(session: LiveSession): void {
    this.session = session;
    this.#set.onUp(session);
  }

  onDown(end: SessionEnd, session: LiveSession | undefined): void {
    this.#set.onDown(this, end, session);
  }

  /** A lane that is lost is the dialler's to bring back. */
  onLaneUp(): void {}
  onLaneClosed(): void {}
  onSuspended(): void {}
}
