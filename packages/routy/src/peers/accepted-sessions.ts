import {
  type HandshakeEnd,
  handshakeOptions,
  type LaneLink,
  PendingLane,
  type PendingLaneHost,
  type SessionDriverApi,
  type SessionEnd,
} from '@routy/link/driver';
import type { Lane } from '@routy/link/transport';
import type { Refusal } from '@routy/proto/session';
import type { Hello } from '@routy/proto/wire';
import { endText, laneHint } from '../events/end-text.ts';
import { SessionRegistry } from '../fabric/session-registry.ts';
import { type LiveSession, nodeName } from '../sessions/live-sessions.ts';
import { isoTime } from '../status/clock.ts';
import type { PeerStatus } from '../status/status.ts';
import { Absences } from './absences.ts';
import type { SessionHost, SessionOwner } from './session-host.ts';

/** Lanes that other nodes dialled, and their sessions: who is admitted, displaced, gone. */
export class AcceptedSessions implements PendingLaneHost {
  readonly #host: SessionHost;
  readonly #registry = new SessionRegistry(
    (id) => this.#sessions.get(id)?.driver?.suspended ?? false,
  );
  /** Lanes whose HELLO has not come yet. */
  readonly #pending = new Set<PendingLane>();
  /** By session id, until they are closed. */
  readonly #sessions = new Map<string, AcceptedSession>();
  readonly #absences = new Absences();
  /** Why no session begins any more. */
  #closing: string | undefined;

  constructor(host: SessionHost) {
    this.#host = host;
  }

  onLane(lane: Lane): void {
    const options = handshakeOptions(this.#host.commons, lane.peer);
    this.#pending.add(new PendingLane(this.#host.link(lane), options, this));
  }

  route(link: LaneLink, hello: Hello, early: boolean): Refusal | undefined {
    const refusal = this.#judge(link, hello);
    if (refusal !== undefined) return refusal;
    if (early) {
      return { code: 'protocol-error', reason: 'frames came before the answer to HELLO' };
    }
    const { id: sessionId, replaces } = hello.session;
    const { peer: identity } = link.lane;
    const peer = nodeName(identity);
    const { instance } = hello;
    const admission = this.#registry.admit({ peer, instance, sessionId, replaces });
    if (!admission.ok) return admission;
    for (const id of admission.displaced) {
      const displaced = this.#sessions.get(id);
      if (displaced?.peer === peer) {
        displaced.driver?.close('taken-over', `${peer} began another session`);
      } else {
        displaced?.driver?.close('overload', 'this node has too many sessions');
      }
    }
    const session = this.#sessions.get(sessionId) ?? this.#begin(link, hello);
    session.driver!.attach(link, hello);
    return undefined;
  }

  decided(pending: PendingLane, end?: HandshakeEnd): void {
    this.#pending.delete(pending);
    if (end === undefined) return;
    const { peer: identity, remoteAddress } = pending.link.lane;
    const peer = nodeName(identity);
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

  onDown(accepted: AcceptedSession, end: SessionEnd, session: LiveSession | undefined): void {
    const { sessionId, peer, remoteAddress } = accepted;
    this.#sessions.delete(sessionId);
    this.#registry.remove(sessionId);
    this.#noteAbsence(peer, session?.remoteAddress ?? remoteAddress, 'down', end);
  }

  /** Begins no session any more; lanes of those there are come in as before. */
  beginNoMore(reason: string): void {
    this.#closing = reason;
  }

  /** Ends every session, and every lane that has none yet. */
  close(reason: string): void {
    for (const { driver } of [...this.#sessions.values()]) driver?.close('shutdown', reason);
    for (const pending of [...this.#pending]) pending.refuse('shutdown', reason);
  }

  status(): PeerStatus[] {
    const live = [...this.#sessions.values()].map(({ session }) => session);
    return [
      ...live.filter((session) => session !== undefined).map((each) => this.#statusOf(each)),
      ...this.#absences.status(),
    ];
  }

  /** Before anything changes: may this lane belong to the session that its HELLO names? */
  #judge(link: LaneLink, hello: Hello): Refusal | undefined {
    const peer = nodeName(link.lane.peer);
    if (peer === nodeName(this.#host.commons.self)) {
      const reason = `the dialler is ${peer}, and so is this node`;
      return { code: 'identity-mismatch', reason };
    }
    const { id, proof } = hello.session;
    const known = this.#sessions.get(id);
    if (known === undefined) {
      // The node at its other end knows the id too, and so may others.
      if (this.#host.isDialled(id)) return belongsToAnother(id);
      if (proof !== undefined) return { code: 'unknown-session', reason: `no session ${id} here` };
      return this.#closing === undefined ? undefined : { code: 'shutdown', reason: this.#closing };
    }
    if (known.peer !== peer || known.instance !== hello.instance) {
      return belongsToAnother(id);
    }
    return known.driver!.judge(link, hello);
  }

  #begin(link: LaneLink, hello: Hello): AcceptedSession {
    const { id } = hello.session;
    const accepted = new AcceptedSession(this, link.lane, hello);
    this.#sessions.set(id, accepted);
    accepted.driver = this.#host.accepted(link.lane.peer, id, accepted);
    return accepted;
  }

  /** A peer that has a session is not absent. */
  #noteAbsence(
    name: string,
    remoteAddress: string,
    state: 'down' | 'refused',
    end: HandshakeEnd,
  ): void {
    const ids = this.#registry.sessionsOf(name);
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

/** Without the owner's name: who asks has no business with it. */
function belongsToAnother(id: string): Refusal {
  return { code: 'not-authorized', reason: `session ${id} belongs to another process` };
}

class AcceptedSession implements SessionOwner {
  readonly sessionId: string;
  /** `site/node`. */
  readonly peer: string;
  /** Of the peer's process that began it. */
  readonly instance: string;
  /** Of its first lane. */
  readonly remoteAddress: string;
  driver: SessionDriverApi | undefined;
  session: LiveSession | undefined;
  readonly #set: AcceptedSessions;

  constructor(set: AcceptedSessions, lane: Lane, hello: Hello) {
    this.#set = set;
    this.sessionId = hello.session.id;
    this.peer = nodeName(lane.peer);
    this.instance = hello.instance;
    this.remoteAddress = lane.remoteAddress;
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
