import { performance } from 'node:perf_hooks';
import type { RoutyError } from '../base/errors.ts';
import type { Lane } from '../transport/lane.ts';
import type { PeerTurn } from './peer-turns.ts';

/** How long a closing lane may take to send its last frames, in ms. */
const CLOSE_TIMEOUT_MS = 2_000;

/** Who a lane's bytes are for. */
export interface LaneReceiver {
  laneData(link: LaneLink, chunk: Uint8Array): void;
  laneDrained(link: LaneLink): void;
  /** Not called for a lane that was ended here. */
  laneClosed(link: LaneLink): void;
}

/**
 * One lane and whoever it is for at the moment: nobody knows whose session an accepted lane joins
 * before its first frame, and a lane can be bound only once.
 */
export class LaneLink {
  readonly lane: Lane;
  receiver: LaneReceiver | undefined;
  /** Of the lane in its session, once it has one. */
  epoch = 0;
  /** It carries the session, or did. */
  up = false;
  /** The lane takes nothing until it has drained. */
  full = false;
  /** The lane is closed, or was ended here. */
  gone = false;
  /** Why the transport closed it; undefined after an end in order. */
  error: RoutyError | undefined;
  readonly #onGone: (link: LaneLink) => void;
  readonly #turn: PeerTurn;
  #deadline: NodeJS.Timeout | undefined;

  /** `turn`: of the lane's peer. `onGone` is called once, when the connection is closed. */
  constructor(lane: Lane, turn: PeerTurn, onGone: (link: LaneLink) => void) {
    this.lane = lane;
    this.#turn = turn;
    this.#onGone = onGone;
    turn.join(lane);
    lane.bind({
      onData: (chunk) => this.#data(chunk),
      onDrain: () => this.#drained(),
      onClose: (error) => this.#closed(error),
    });
  }

  /** What to call the end of this lane when nobody has said why. */
  get endReason(): string {
    return this.error === undefined ? 'the peer ended the lane' : this.error.message;
  }

  /** Sends the last frames if the lane can still carry them, and in any case ends it. */
  end(last: readonly Uint8Array[]): void {
    this.receiver = undefined;
    if (this.gone) return;
    this.gone = true;
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

  #data(chunk: Uint8Array): void {
    const sinceMs = performance.now();
    this.receiver?.laneData(this, chunk);
    this.#turn.spent(sinceMs);
  }

  #drained(): void {
    this.full = false;
    this.receiver?.laneDrained(this);
  }

  #closed(error: RoutyError | undefined): void {
    clearTimeout(this.#deadline);
    this.#turn.leave(this.lane);
    this.gone = true;
    this.error = error;
    this.receiver?.laneClosed(this);
    this.#onGone(this);
  }
}
