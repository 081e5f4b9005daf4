import type { StreamCode } from '@routy/link/driver';
import { isoTime } from './clock.ts';
import type { LastResult } from './status.ts';

/** Why a connection through a service or forward came to nothing. */
export type RefusalCode = StreamCode | 'unavailable' | 'client-not-listed';

/** A stream of a peer to a service of this node that was turned away. */
export interface ServiceRefusal {
  readonly service: string;
  /** There is a service of that name, which otherwise the peer may have invented. */
  readonly isOurs: boolean;
  /** `site/node`. */
  readonly peer: string;
  readonly code: StreamCode;
  readonly reason: string;
}

/** What happened to the connections of one service or forward. Times are those of the node's clock. */
export class Tally {
  opened = 0;
  refused = 0;
  #last: { atMs: number; ok: boolean; detail: string; peer: string | null } | undefined;

  get last(): LastResult | null {
    const last = this.#last;
    return last === undefined ? null : { ...pick(last), at: isoTime(last.atMs) };
  }

  /** A connection reached the target at the other end. */
  connected(nowMs: number, peer: string): void {
    this.opened += 1;
    this.#last = { atMs: nowMs, ok: true, detail: 'connected', peer };
  }

  /** A connection was turned away; `peer` is null when no node was involved. */
  turnedAway(nowMs: number, code: RefusalCode, reason: string, peer: string | null): void {
    this.refused += 1;
    const detail = reason === '' ? code : `${code}: ${reason}`;
    this.#last = { atMs: nowMs, ok: false, detail, peer };
  }
}

function pick(last: { ok: boolean; detail: string; peer: string | null }): Omit<LastResult, 'at'> {
  return { ok: last.ok, detail: last.detail, peer: last.peer };
}
