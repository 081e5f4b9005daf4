import type { TrafficStatus } from '../status/status.ts';

type Traffic = Omit<TrafficStatus, 'peer'>;

/** Peers without a session whose totals are kept, beside those that are configured. */
export const ABSENT_TOTALS_MAX = 1_024;

interface PeerTotalsOptions {
  /** This node dials the peer: it will be back. */
  readonly isConfigured: (peer: string) => boolean;
  /** Its totals are gone; when it comes again they begin anew. */
  readonly onForgotten: (peer: string) => void;
}

interface Present {
  sessions: number;
  /** Of its sessions that have ended. */
  ended: Traffic;
}

const NOTHING: Traffic = { bytesSent: 0, bytesReceived: 0, bytesReplayed: 0 };

/**
 * What ended sessions carried, by peer (`site/node`). Certificates give names, and a site may have
 * as many as it likes in the course of time: of peers that are neither here nor configured only
 * those that went last are remembered.
 */
export class PeerTotals {
  readonly #options: PeerTotalsOptions;
  readonly #present = new Map<string, Present>();
  /** In the order they went. */
  readonly #absent = new Map<string, Traffic>();

  constructor(options?: PeerTotalsOptions) {
    this.#options = options ?? { isConfigured: () => false, onForgotten: () => undefined };
  }

  /** A session with the peer begins. */
  came(peer: string): void {
    const present = this.#present.get(peer);
    if (present !== undefined) {
      present.sessions += 1;
      return;
    }
    this.#present.set(peer, { sessions: 1, ended: this.#absent.get(peer) ?? NOTHING });
    this.#absent.delete(peer);
  }

  /** One that came has ended, and carried so much. */
  went(peer: string, carried: Traffic): void {
    const present = this.#present.get(peer)!;
    present.sessions -= 1;
    present.ended = sumOf(present.ended, carried);
    if (present.sessions > 0) return;
    this.#present.delete(peer);
    this.#absent.set(peer, present.ended);
    if (this.#absent.size > ABSENT_TOTALS_MAX) this.#forgetOne();
  }

  /** With what the sessions that are there have carried so far. */
  with(live: Iterable<{ readonly peer: string; readonly carried: Traffic }>): TrafficStatus[] {
    const totals = new Map(this.#absent);
    for (const [peer, { ended }] of this.#present) totals.set(peer, ended);
    for (const { peer, carried } of live) totals.set(peer, sumOf(totals.get(peer)!, carried));
    return [...totals].map(([peer, traffic]) => ({ peer, ...traffic }));
  }

  /** The one that went first, of those that are not configured. */
  #forgetOne(): void {
    for (const peer of this.#absent.keys()) {
      if (this.#options.isConfigured(peer)) continue;
      this.#absent.delete(peer);
      this.#options.onForgotten(peer);
      return;
    }
  }
}

function sumOf(before: Traffic, more: Traffic): Traffic {
  return {
    bytesSent: before.bytesSent + more.bytesSent,
    bytesReceived: before.bytesReceived + more.bytesReceived,
    bytesReplayed: before.bytesReplayed + more.bytesReplayed,
  };
}
