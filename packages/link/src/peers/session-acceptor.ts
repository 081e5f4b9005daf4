import { nodeName } from '@routy/proto/base';
import type { Refusal } from '@routy/proto/session';
import type { Hello } from '@routy/proto/wire';
import type { SessionDriverApi } from '../driver/driver-types.ts';
import type { LaneLink } from '../driver/lanes/lane-link.ts';
import {
  type HandshakeEnd,
  PendingLane,
  type PendingLaneHost,
} from '../driver/lanes/pending-lane.ts';
import { handshakeOptions } from '../driver/session-options.ts';
import type { Lane } from '../transport/lane.ts';
import type { ProcessSessions } from './process-sessions.ts';
import { SessionRegistry } from './session-registry.ts';

/** A session that a peer has begun here, as its first lane says. */
export interface AcceptedSession {
  /** 32 hex digits, chosen by the dialler. */
  readonly sessionId: string;
  /** `site/node`. */
  readonly peer: string;
  /** Of the peer's process that began it: 32 hex digits. */
  readonly instance: string;
  /** The lane that it began with. */
  readonly firstLane: Lane;
}

/** What the sessions that peers begin are to their owner. */
export interface AcceptorOwner {
  /** Makes the driver of a session; {@link SessionAcceptor.ended} is to be told of its end. */
  begin(session: AcceptedSession): SessionDriverApi;
  /** A lane joined no session. */
  refused(lane: Lane, end: HandshakeEnd): void;
}

interface Held extends AcceptedSession {
  driver: SessionDriverApi | undefined;
}

/** Lanes that other nodes dialled, and their sessions: who is admitted, and who is displaced. */
export class SessionAcceptor implements PendingLaneHost {
  readonly #sessions: ProcessSessions;
  readonly #owner: AcceptorOwner;
  readonly #registry = new SessionRegistry((id) => this.#held.get(id)?.driver?.suspended ?? false);
  /** Lanes whose HELLO has not come yet. */
  readonly #pending = new Set<PendingLane>();
  /** By session id, until they have ended. */
  readonly #held = new Map<string, Held>();
  /** Why no session begins any more. */
  #closing: string | undefined;

  constructor(sessions: ProcessSessions, owner: AcceptorOwner) {
    this.#sessions = sessions;
    this.#owner = owner;
  }

  /** A listener has accepted a lane. */
  onLane(lane: Lane): void {
    const options = handshakeOptions(this.#sessions.commons, lane.peer);
    this.#pending.add(new PendingLane(this.#sessions.link(lane), options, this));
  }

  route(link: LaneLink, hello: Hello, early: boolean): Refusal | undefined {
    const refusal = this.#judge(link, hello);
    if (refusal !== undefined) return refusal;
    if (early) {
      return { code: 'protocol-error', reason: 'frames came before the answer to HELLO' };
    }
    const { id: sessionId, replaces } = hello.session;
    const peer = nodeName(link.lane.peer);
    const { instance } = hello;
    const admission = this.#registry.admit({ peer, instance, sessionId, replaces });
    if (!admission.ok) return admission;
    for (const id of admission.displaced) this.#displace(id, peer);
    const session = this.#held.get(sessionId) ?? this.#begin(link, hello);
    session.driver!.attach(link, hello);
    return undefined;
  }

  decided(pending: PendingLane, end?: HandshakeEnd): void {
    this.#pending.delete(pending);
    if (end !== undefined) this.#owner.refused(pending.link.lane, end);
  }

  /** The session's driver has told its end. */
  ended(sessionId: string): void {
    this.#held.delete(sessionId);
    this.#registry.remove(sessionId);
  }

  /** Ids of the sessions of a node, `site/node`, oldest first. */
  idsOf(peer: string): string[] {
    return this.#registry.sessionsOf(peer);
  }

  /** Begins no session any more; lanes of those there are come in as before. */
  beginNoMore(reason: string): void {
    this.#closing = reason;
  }

  /** Ends every session, and every lane that has none yet. */
  close(reason: string): void {
    for (const { driver } of [...this.#held.values()]) driver?.close('shutdown', reason);
    for (const pending of [...this.#pending]) pending.refuse('shutdown', reason);
  }

  /** Before anything changes: may this lane belong to the session that its HELLO names? */
  #judge(link: LaneLink, hello: Hello): Refusal | undefined {
    const peer = nodeName(link.lane.peer);
    if (peer === nodeName(this.#sessions.commons.self)) {
      const reason = `the dialler is ${peer}, and so is this node`;
      return { code: 'identity-mismatch', reason };
    }
    const { id, proof } = hello.session;
    const known = this.#held.get(id);
    if (known === undefined) {
      // The node at its other end knows the id too, and so may others.
      if (this.#sessions.isDialled(id)) return belongsToAnother(id);
      if (proof !== undefined) return { code: 'unknown-session', reason: `no session ${id} here` };
      return this.#closing === undefined ? undefined : { code: 'shutdown', reason: this.#closing };
    }
    if (known.peer !== peer || known.instance !== hello.instance) {
      return belongsToAnother(id);
    }
    return known.driver!.judge(link, hello);
  }

  #displace(id: string, by: string): void {
    const displaced = this.#held.get(id);
    if (displaced?.peer === by) {
      displaced.driver?.close('taken-over', `${by} began another session`);
    } else {
      displaced?.driver?.close('overload', 'this node has too many sessions');
    }
  }

  #begin({ lane }: LaneLink, { session, instance }: Hello): Held {
    const { id: sessionId } = session;
    const peer = nodeName(lane.peer);
    const held: Held = { sessionId, peer, instance, firstLane: lane, driver: undefined };
    this.#held.set(sessionId, held);
    held.driver = this.#owner.begin(held);
    return held;
  }
}

/** Without the owner's name: who asks has no business with it. */
function belongsToAnother(id: string): Refusal {
  return { code: 'not-authorized', reason: `session ${id} belongs to another process` };
}
