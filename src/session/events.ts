import type { LaneCode, StreamCode } from '../wire/codes.ts';
import type { Hello, OpenPayload } from '../wire/payload.ts';

export type SessionEvent =
  /** Acceptor only: the dialler's HELLO is good; answer with `admit` or `close`. */
  | { readonly kind: 'hello'; readonly hello: Hello }
  /** Streams may be opened from now on. */
  | { readonly kind: 'established'; readonly hello: Hello }
  /** The complete list of services the peer offers. */
  | { readonly kind: 'offers'; readonly services: readonly string[] }
  /** The peer opens a stream; answer with `accept` or `reset`. Data may come before the answer. */
  | { readonly kind: 'opened'; readonly stream: number; readonly request: OpenPayload }
  /** The peer accepted a stream this side opened. */
  | { readonly kind: 'accepted'; readonly stream: number }
  /** Bytes for the stream's destination; report them with `delivered` once written. */
  | { readonly kind: 'data'; readonly stream: number; readonly bytes: Uint8Array }
  /** The peer half-closed; report with `finDelivered` once passed on. */
  | { readonly kind: 'fin'; readonly stream: number }
  /** A writer that was told to pause may go on, if `mayWrite` still says so. */
  | { readonly kind: 'writable'; readonly stream: number }
  /** Both directions ended cleanly; the stream is gone. */
  | { readonly kind: 'finished'; readonly stream: number }
  /** The peer reset the stream, or the session ended; the stream is gone. */
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
  /** Last: send what `pollTransmit` still gives, then end the lane. */
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

  push(event: SessionEvent): void {
    this.#events.push(event);
  }

  shift(): SessionEvent | undefined {
    if (this.#next === this.#events.length) return undefined;
    const event = this.#events[this.#next++];
    if (this.#next === this.#events.length) {
      this.#events = [];
      this.#next = 0;
    }
    return event;
  }
}
