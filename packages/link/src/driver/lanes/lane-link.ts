import type { RoutyError } from '@routy/proto/base';
import type { Lane } from '../../transport/lane.ts';
import type { ScheduledPeer } from '../peer-scheduler.ts';

/** How long a closing lane may take to send its last frames, in ms. */
const CLOSE_TIMEOUT_MS = 2_000;

/** Who a lane's bytes are for. */
export interface LaneReceiver {
  /** `isLent`: the chunk is valid until this returns. */
  laneData(link: LaneLink, chunk: Uint8Array, isLent: boolean): void;
  laneDrained(link: LaneLink): void;
  /** The peer has waited for others and has its next turn. */
  laneResumed(link: LaneLink): void;
  /** Not called for a lane that was ended here. */
  laneClosed(link: LaneLink): void;
}

/**
 * One lane and whoever it is for at the moment: nobody knows whose session an accepted lane joins
 * before its first frame, and a lane can be bound only once.
 */
export class LaneLink {
  /** The connection. */
  readonly lane: Lane;
  /** Who its bytes are for at the moment; undefined after its end. */
  receiver: LaneReceiver | undefined;
  /** Of the lane in its session, once it has one. */
  laneId = 0;
  /** It carries the session, or did. */
  up = false;
  /** The lane takes nothing until it has drained. */
  full = false;
  /** The lane is closed, or was ended here. */
  gone = false;
  /** Why the transport closed it; undefined after an end in order. */
  error: RoutyError | undefined;
  readonly #onGone: (link: LaneLink) => void;
  readonly #turn: ScheduledPeer;
  #held = false;
  /** What was read and has not been passed on: the peer's turn was over. */
  readonly #unpassed: Uint8Array[] = [];
  #deadline: NodeJS.Timeout | undefined;

  /** `turn`: of the lane's peer. `onGone` is called once, when the connection is closed. */
  constructor(lane: Lane, turn: ScheduledPeer, onGone: (link: LaneLink) => void) {
    this.lane = lane;
    this.#turn = turn;
    this.#onGone = onGone;
    turn.join(this);
    lane.bind({
      onData: (chunk) => this.#data(chunk, false),
      onLent: (chunk) => this.#data(chunk, true),
      onDrain: () => this.#drained(),
      onClose: (error) => this.#closed(error),
    });
  }

  /** What to call the end of this lane when nobody has said why. */
  get endReason(): string {
    return this.error === undefined ? 'the peer ended the lane' : this.error.message;
  }

  /** Others have their turn: nothing is done for the peer that can wait. */
  get yields(): boolean {
    return this.#turn.yields;
  }

  /** Work for the lane's peer holds nobody up. */
  get isFree(): boolean {
    return this.#turn.isFree;
  }

  /** Nothing more is read until `release`: what was read is still to be worked on. */
  hold(): void {
    this.#held = true;
    this.lane.pause();
  }

  /** Reading goes on after `hold`. */
  release(): void {
    if (!this.#held) return;
    this.#held = false;
    // Not from inside of what it was held for.
    setImmediate(() => this.#goOn());
  }

  /** For the turn of the peer. */
  pause(): void {
    this.lane.pause();
  }

  /** For the turn of the peer: goes on after `pause`. */
  resume(): void {
    this.receiver?.laneResumed(this);
    this.#goOn();
  }

  /** Sends the last frames if the lane can still carry them, and in any case ends it. */
  end(last: readonly Uint8Array[]): void {
    this.receiver = undefined;
    if (this.gone) return;
    this.gone = true;
    // The end of the peer is to be seen.
    this.release();
    if (last.length > 0) this.lane.write(last);
    this.lane.end();
    this.#deadline = setTimeout(() => this.lane.destroy(), CLOSE_TIMEOUT_MS);
    this.#deadline.unref();
  }

  /** Ends the lane now; what was not sent yet is lost. */
  abort(): void {
    this.receiver = undefined;
    if (this.gone) return;
    this.gone = true;
    this.lane.destroy();
  }

  /** Work for the lane's peer began at `sinceMs` and is done: too much of it, and others go first. */
  spent(sinceMs: number): void {
    this.#turn.spent(sinceMs);
  }

  /** Work for the lane's peer takes so long elsewhere, in ms. */
  charge(ms: number): void {
    this.#turn.charge(ms);
  }

  #data(chunk: Uint8Array, isLent: boolean): void {
    const isNext = this.#unpassed.length === 0;
    if (isNext && this.#turn.isFree) {
      this.receiver?.laneData(this, chunk, isLent);
    } else if (isNext && chunk.length <= this.#turn.partBytes) {
      this.#pass(chunk, isLent);
    } else {
      this.#unpassed.push(isLent ? new Uint8Array(chunk) : chunk);
      this.#passOn();
    }
  }

  /** Bytes that are cheap go through whole; of others what takes long goes in parts. */
  #passOn(): void {
    while (!this.#turn.waits && !this.#held) {
      const chunk = this.#unpassed.shift();
      if (chunk === undefined) return;
      const { partBytes } = this.#turn;
      if (chunk.length > partBytes) this.#unpassed.unshift(chunk.subarray(partBytes));
      this.#pass(chunk.subarray(0, partBytes), false);
    }
  }

  #pass(part: Uint8Array, isLent: boolean): void {
    const sinceMs = this.#turn.nowMs();
    this.receiver?.laneData(this, part, isLent);
    this.#turn.spent(sinceMs, part.length);
  }

  #goOn(): void {
    this.#passOn();
    if (!this.#turn.waits && !this.#held) this.lane.resume();
  }

  #drained(): void {
    this.full = false;
    this.receiver?.laneDrained(this);
  }

  #closed(error: RoutyError | undefined): void {
    clearTimeout(this.#deadline);
    this.#turn.leave(this);
    this.gone = true;
    this.error = error;
    // It was all there before the end.
    for (const part of this.#unpassed.splice(0)) this.receiver?.laneData(this, part, false);
    this.receiver?.laneClosed(this);
    this.#onGone(this);
  }
}
