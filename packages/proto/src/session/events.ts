import type { LaneCode, StreamCode } from '../wire/codes.ts';
import type { Agreement, Hello, OpenPayload } from '../wire/payload.ts';

/** A lane is named by its id. */
export type SessionEvent =
  /** Once: streams may be opened from now on. */
  | {
      readonly kind: 'established';
      readonly hello: Hello;
      /** Optional parts of the protocol that both ends can use. */
      readonly capabilities: readonly string[];
    }
  /** The lane carries the session from now on. */
  | { readonly kind: 'lane-up'; readonly lane: number }
  /** Once for each lane: send `last` and end it, or destroy it at once. The session knows it no more. */
  | {
      readonly kind: 'lane-closed';
      readonly lane: number;
      readonly code: LaneCode;
      readonly reason: string;
      /** True when the peer said so, false when this side decided. */
      readonly remote: boolean;
      readonly abort: boolean;
      readonly last: readonly Uint8Array[];
    }
  /** No lane carries the session; its streams wait. */
  | { readonly kind: 'suspended' }
  /** A lane carries it again, `suspendedMs` after the last one was lost. */
  | { readonly kind: 'resumed'; readonly lane: number; readonly suspendedMs: number }
  /** The complete list of services the peer offers: the latest, when several came. */
  | { readonly kind: 'offers'; readonly services: ReadonlySet<string> }
  /** The peer opens a stream; answer with `accept` or `reset`. Data may come before the answer. */
  | { readonly kind: 'opened'; readonly stream: number; readonly request: OpenPayload }
  /** The peer accepted a stream this side opened, with the version and capabilities it has picked. */
  | { readonly kind: 'accepted'; readonly stream: number; readonly picked: Agreement }
  /** Bytes for the stream's destination; report them with `delivered` once written. */
  | { readonly kind: 'data'; readonly stream: number; readonly bytes: Uint8Array }
  /** The peer half-closed; report with `finDelivered` once passed on. */
  | { readonly kind: 'fin'; readonly stream: number }
  /** A writer that was told to pause may go on, if `mayWrite` still says so. */
  | { readonly kind: 'writable'; readonly stream: number }
  /** Both directions ended cleanly; the stream is gone. */
  | { readonly kind: 'finished'; readonly stream: number }
  /**
   * The peer reset the stream, or the session ended; nothing more is told of it. With code
   * `connection-reset` all bytes before it have come: what is not delivered yet still may be, until
   * `reset` gives it up.
   */
  | {
      readonly kind: 'reset';
      readonly stream: number;
      readonly code: StreamCode;
      readonly reason: string;
    }
  /** The peer takes no new streams. */
  | { readonly kind: 'draining' }
  | {
      readonly kind: 'pong';
      readonly sequence: number;
      readonly rttMs: number;
      readonly clockOffsetMs: number;
    }
  /** Last, after every lane's `lane-closed`. */
  | {
      readonly kind: 'closed';
      readonly code: LaneCode;
      readonly reason: string;
      readonly remote: boolean;
    };

/** Events in order, taken one at a time. */
export class EventQueue {
  #events: SessionEvent[] = [];
  #next = 0;
  /** Among them, if one is. */
  #offers: { readonly kind: 'offers'; services: ReadonlySet<string> } | undefined;

  get isEmpty(): boolean {
    return this.#next === this.#events.length;
  }

  push(event: SessionEvent): void {
    this.#events.push(event);
  }

  /** A list that nobody has taken yet gives way to the next one, so that many cost what one does. */
  pushOffers(services: ReadonlySet<string>): void {
    if (this.#offers === undefined) {
      this.#offers = { kind: 'offers', services };
      this.push(this.#offers);
    } else {
      this.#offers.services = services;
    }
  }

  shift(): SessionEvent | undefined {
    if (this.#next === this.#events.length) return undefined;
    const event = this.#events[this.#next++];
    if (event === this.#offers) this.#offers = undefined;
    if (this.#next === this.#events.length) {
      this.#events = [];
      this.#next = 0;
    }
    return event;
  }
}
