import type { LaneCode } from '@routy/link/driver';
import { endText } from '@routy/link/peers';
import { laneHint } from '../events/lane-hint.ts';
import { isoTime } from '../status/clock.ts';
import type { PeerStatus } from '../status/status.ts';

/** Peers without a session that are remembered; beyond it the oldest is forgotten. */
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

/** What the status shows of nodes that dialled here and have no session. */
export class Absences {
  /** By `site/node`, in the order they went. */
  readonly #byName = new Map<string, Absence>();

  note(
    nowMs: number,
    peer: { readonly name: string; readonly remoteAddress: string },
    state: Absence['state'],
    end: { readonly code: LaneCode; readonly reason: string; readonly remote: boolean },
  ): void {
    const before = this.#byName.get(peer.name);
    const reason = endText(end);
    const same = before?.state === state && before.reason === reason;
    this.#byName.delete(peer.name);
    this.#byName.set(peer.name, {
      state,
      remoteAddress: peer.remoteAddress,
      sinceMs: same ? before.sinceMs : nowMs,
      reason,
      hint: laneHint(end) ?? null,
      attempts: state === 'refused' ? (before?.attempts ?? 0) + 1 : 0,
    });
    if (this.#byName.size <= ABSENT_MAX) return;
    const [oldest] = this.#byName.keys();
    this.#byName.delete(oldest!);
  }

  /** The peer is there. */
  forget(name: string): void {
    this.#byName.delete(name);
  }

  status(): PeerStatus[] {
    return [...this.#byName].map(([name, absence]) => ({
      name,
      direction: 'accepted',
      addresses: [absence.remoteAddress],
      state: absence.state,
      since: isoTime(absence.sinceMs),
      reason: absence.reason,
      hint: absence.hint,
      attempts: absence.attempts,
      nextAttemptInMs: null,
      session: null,
    }));
  }
}
