import { performance } from 'node:perf_hooks';
import { type HandshakeOptions, PendingHandshake, type Refusal } from '@routy/proto/session';
import type { Hello, LaneCode } from '@routy/proto/wire';
import { wallOffsetMs } from '../session-options.ts';
import type { LaneLink, LaneReceiver } from './lane-link.ts';

/** Why an accepted lane joined no session. */
export interface HandshakeEnd {
  /** Why, for programs. */
  readonly code: LaneCode;
  /** Why, in a line for people. */
  readonly reason: string;
  /** True when the dialler said so, false when this side decided. */
  readonly remote: boolean;
}

/** What a pending lane asks of the accepting side. */
export interface PendingLaneHost {
  /**
   * Hands the lane to the session its HELLO names, a new one or one that lives, or says why not.
   * `early`: the dialler did not wait for an answer.
   */
  route(link: LaneLink, hello: Hello, early: boolean): Refusal | undefined;
  /** The last call: without `end` the lane joined a session. */
  decided(pending: PendingLane, end?: HandshakeEnd): void;
}

/** An accepted lane until its first frame has told whose session it joins. */
export class PendingLane implements LaneReceiver {
  /** The lane. */
  readonly link: LaneLink;
  readonly #host: PendingLaneHost;
  readonly #handshake: PendingHandshake;
  readonly #timer: NodeJS.Timeout;

  constructor(link: LaneLink, options: HandshakeOptions, host: PendingLaneHost) {
    this.link = link;
    this.#host = host;
    this.#handshake = new PendingHandshake(options, performance.now(), wallOffsetMs());
    this.#timer = setTimeout(() => this.#timeout(), options.handshakeTimeoutMs);
    link.receiver = this;
  }

  /** Its first frame, or a part of it. */
  laneData(_link: LaneLink, chunk: Uint8Array): void {
    this.#handshake.handleBytes(performance.now(), chunk);
    const { hello, early } = this.#handshake;
    if (hello === undefined) {
      this.#endIfClosed();
      return;
    }
    const refusal = this.#host.route(this.link, hello, early);
    if (refusal === undefined) this.#over();
    else this.refuse(refusal.code, refusal.reason);
  }

  /** Nothing waits here for the lane to drain: its last frames are all that is ever sent. */
  laneDrained(): void {}

  laneResumed(): void {}

  laneClosed(link: LaneLink): void {
    this.#over({ code: 'lane-lost', reason: link.endReason, remote: false });
  }

  /** Ends the lane with the reason. */
  refuse(code: LaneCode, reason: string): void {
    this.#handshake.refuse(performance.now(), code, reason);
    this.#endIfClosed();
  }

  #timeout(): void {
    // Timers fire up to a millisecond early, and what they are for is due all the same.
    this.#handshake.handleTimeout(Math.max(performance.now(), this.#handshake.deadlineMs));
    this.#endIfClosed();
  }

  #endIfClosed(): void {
    const { closed } = this.#handshake;
    if (closed === undefined) return;
    this.link.end(this.#handshake.pollTransmit() ?? []);
    this.#over(closed);
  }

  #over(end?: HandshakeEnd): void {
    clearTimeout(this.#timer);
    this.#host.decided(this, end);
  }
}
