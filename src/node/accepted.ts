import { SessionRegistry } from '../fabric/registry.ts';
import type { Lane } from '../transport/lane.ts';
import type { Admission, PeerHello, SessionDriverApi, SessionEnd } from './driver-types.ts';
import { endText, laneHint } from './events.ts';
import type { SessionHost, SessionOwner } from './session-host.ts';
import { type LiveSession, nodeName } from './sessions.ts';
import type { PeerStatus } from './status.ts';

/** Peers without a session that are remembered for the status; beyond it the oldest is forgotten. */
const ABSENT_MAX = 1000;

/** Why a peer that once dialled has no session now. */
interface Absence {
  readonly state: 'down' | 'refused';
  readonly remoteAddress: string;
  readonly sinceMs: number;
  readonly reason: string;
  readonly hint: string | null;
  readonly attempts: number;
}

/** Sessions of lanes that other nodes dialled: who is admitted, who is displaced, who is gone. */
export class AcceptedSessions {
  readonly #host: SessionHost;
  readonly #registry = new SessionRegistry();
  /** Every session of an accepted lane until it is closed, admitted or not. */
  readonly #all = new Set<AcceptedSession>();
  /** By `site/node`, in the order they went. */
  readonly #absences = new Map<string, Absence>();

  constructor(host: SessionHost) {
    this.#host = host;
  }

  onLane(lane: Lane): void {
    const accepted = new AcceptedSession(this, lane);
    this.#all.add(accepted);
    accepted.driver = this.#host.accepted(lane, accepted);
  }

  admit(accepted: AcceptedSession, hello: PeerHello): Admission {
    const { self } = this.#host.commons;
    const peer = nodeName(hello.identity);
    if (peer === nodeName(self)) {
      const reason = `the dialler is ${peer}, and so is this node`;
      return { ok: false, code: 'identity-mismatch', reason };
    }
    const { instance, sessionId, epoch } = hello;
    const admission = this.#registry.admit({ peer, instance, sessionId, epoch });
    if (!admission.ok) return admission;
    const displaced = new Set(admission.displaced);
    for (const other of this.#all) {
      if (other !== accepted && other.admitted && displaced.has(other.driver!.sessionId)) {
        other.driver!.close('taken-over', `${peer} dialled anew`);
      }
    }
    accepted.admitted = true;
    return { ok: true };
  }

  onUp(accepted: AcceptedSession): void {
    this.#absences.delete(nodeName(accepted.lane.peer));
  }

  onDown(accepted: AcceptedSession, end: SessionEnd, session: LiveSession | undefined): void {
    this.#all.delete(accepted);
    const { peer, remoteAddress } = accepted.lane;
    const name = nodeName(peer);
    if (accepted.admitted) {
      this.#registry.remove(accepted.driver!.sessionId, accepted.driver!.epoch);
    }
    if (session === undefined && end.code !== 'shutdown') {
      const { code } = end;
      const reason = endText(end);
      const hint = laneHint(code);
      this.#host.events.laneRefused({ peer: name, remoteAddress, code, reason, hint });
    }
    this.#noteAbsence(name, remoteAddress, end, session === undefined ? 'refused' : 'down');
  }

  /** Ends every session. */
  close(reason: string): void {
    for (const { driver } of [...this.#all]) driver?.close('shutdown', reason);
  }

  get size(): number {
    return this.#all.size;
  }

  status(): PeerStatus[] {
    const up = [...this.#all].filter((accepted) => accepted.session !== undefined);
    return [
      ...up.map((accepted) => this.#presentStatus(accepted.session!)),
      ...[...this.#absences].map(([name, absence]) => absentStatus(name, absence)),
    ];
  }

  /** A peer that still has another session, or a newer one, is not absent. */
  #noteAbsence(
    name: string,
    remoteAddress: string,
    end: SessionEnd,
    state: Absence['state'],
  ): void {
    const present = [...this.#all].some(({ session }) => session?.name === name);
    if (present) return;
    const before = this.#absences.get(name);
    const reason = endText(end);
    const same = before?.state === state && before.reason === reason;
    this.#absences.delete(name);
    this.#absences.set(name, {
      state,
      remoteAddress,
      sinceMs: same ? before.sinceMs : this.#host.nowMs(),
      reason,
      hint: laneHint(end.code) ?? null,
      attempts: state === 'refused' ? (before?.attempts ?? 0) + 1 : 0,
    });
    if (this.#absences.size <= ABSENT_MAX) return;
    const [oldest] = this.#absences.keys();
    this.#absences.delete(oldest!);
  }

  #presentStatus(session: LiveSession): PeerStatus {
    return {
      name: session.name,
      direction: 'accepted',
      addresses: [session.remoteAddress],
      state: 'up',
      since: new Date(session.establishedAtMs).toISOString(),
      reason: null,
      hint: null,
      attempts: 0,
      nextAttemptInMs: null,
      session: this.#host.live.status(session),
    };
  }
}

function absentStatus(name: string, absence: Absence): PeerStatus {
  return {
    name,
    direction: 'accepted',
    addresses: [absence.remoteAddress],
    state: absence.state,
    since: new Date(absence.sinceMs).toISOString(),
    reason: absence.reason,
    hint: absence.hint,
    attempts: absence.attempts,
    nextAttemptInMs: null,
    session: null,
  };
}

class AcceptedSession implements SessionOwner {
  readonly lane: Lane;
  driver: SessionDriverApi | undefined;
  session: LiveSession | undefined;
  admitted = false;
  readonly #set: AcceptedSessions;

  constructor(set: AcceptedSessions, lane: Lane) {
    this.#set = set;
    this.lane = lane;
  }

  admit(hello: PeerHello): Admission {
    return this.#set.admit(this, hello);
  }

  onUp(session: LiveSession): void {
    this.session = session;
    this.#set.onUp(this);
  }

  onDown(end: SessionEnd, session: LiveSession | undefined): void {
    this.#set.onDown(this, end, session);
  }
}
