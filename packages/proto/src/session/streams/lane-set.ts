import { NOWHERE, type Stream, type StreamLane } from './stream.ts';

/** Lanes of one session. A dialler has no use for more; the oldest are lanes it has lost. */
const LANES_MAX = 16;

/** Counts as so many streams more: a lane that is busy with a bulk stream is the worse primary lane. */
const BULK_WEIGHT = 8;

/**
 * A lane may carry so many times its equal share of a stream's window. Its TCP connection takes far
 * more than the path holds: one lane could take the window and let the others go empty.
 */
const SHARE_MAX = 1.5;

/** What is known of a lane at the moment; a snapshot. */
export interface LaneFacts {
  /** Its id. */
  readonly lane: number;
  readonly established: boolean;
  readonly rttMs: number | undefined;
  /** When bytes of the peer arrived last. */
  readonly heardAtMs: number;
  /** Streams whose primary lane it is. */
  readonly streams: number;
  /** Stream payload bytes. */
  readonly bytesSent: number;
}

/** The lanes of a session that live, and which of them is primary for which streams. */
export class LaneSet {
  /** Streams that have no primary lane. */
  readonly stale = new Set<Stream>();
  readonly #byId = new Map<number, StreamLane>();
  /** The same in their order; lanes come and go rarely, and are looked through all the time. */
  #all: readonly StreamLane[] = [];
  #established: readonly StreamLane[] = [];

  /** The oldest has to go before another one joins. */
  get full(): boolean {
    return this.#byId.size >= LANES_MAX;
  }

  /** Those that carry the session, oldest first. */
  get established(): readonly StreamLane[] {
    return this.#established;
  }

  get(id: number): StreamLane | undefined {
    return this.#byId.get(id);
  }

  /** A list that does not change when lanes come and go. */
  all(): readonly StreamLane[] {
    return this.#all;
  }

  facts(): LaneFacts[] {
    return this.all().map((lane) => ({
      lane: lane.id,
      established: lane.established,
      rttMs: lane.heartbeat.rttMs,
      heardAtMs: lane.heartbeat.heardAtMs,
      streams: lane.streams,
      bytesSent: lane.bytesSent,
    }));
  }

  add(lane: StreamLane): void {
    this.#byId.set(lane.id, lane);
    this.#all = [...this.#byId.values()];
  }

  establish(lane: StreamLane): void {
    lane.established = true;
    this.#established = [...this.#established, lane];
  }

  remove(lane: StreamLane): void {
    lane.closed = true;
    this.#byId.delete(lane.id);
    this.#all = [...this.#byId.values()];
    this.#established = this.#established.filter((other) => other !== lane);
  }

  /** The lane that was heard last, or the newest of several; the others may be dead already. */
  get liveliest(): StreamLane | undefined {
    let best: StreamLane | undefined;
    for (const lane of this.#established) {
      if (best === undefined || lane.heartbeat.heardAtMs >= best.heartbeat.heardAtMs) best = lane;
    }
    return best;
  }

  /** The lane that carries least; undefined when none carries the session. */
  leastLoaded(): StreamLane | undefined {
    let best: StreamLane | undefined;
    for (const lane of this.#established) {
      if (best === undefined || load(lane) < load(best)) best = lane;
    }
    return best;
  }

  /** Whether the stream may have more on this lane while others could carry it as well. */
  hasShare(stream: Stream, lane: StreamLane): boolean {
    const { flight } = stream;
    if (flight === undefined) return true;
    let lanes = 0;
    for (const each of this.#established) {
      if (each === stream.lane || each.carriesOthers) lanes++;
    }
    const window = stream.creditLimit - stream.send.acked;
    return lanes <= 1 || flight.on(lane) * lanes < window * SHARE_MAX;
  }

  /** Makes a lane the stream's primary one. Without one it is stale: it has to be synchronised first. */
  settle(stream: Stream, lane: StreamLane | undefined): void {
    this.forget(stream);
    if (lane === undefined) {
      this.stale.add(stream);
      return;
    }
    stream.lane = lane;
    lane.streams++;
  }

  /** The stream is gone, or finds another primary lane. */
  forget(stream: Stream): void {
    this.stale.delete(stream);
    if (stream.lane !== undefined) stream.lane.streams--;
    stream.lane?.scheduler.unpark(stream);
    stream.lane = undefined;
    stream.flight = undefined;
    for (const lane of stream.spread) lane.forget(stream);
    stream.spread = NOWHERE;
  }

  /** Makes another lane the stream's primary one; what the old one carried may still be under way. */
  move(stream: Stream, lane: StreamLane): void {
    const primary = stream.lane!;
    primary.scheduler.unpark(stream);
    primary.streams--;
    lane.streams++;
    stream.lane = lane;
    stream.spread = [...stream.spread.filter((other) => other !== lane), primary];
  }

  /** A bulk stream took a turn on a lane that is not its primary one. */
  spread(stream: Stream, lane: StreamLane): void {
    lane.carried(stream, stream.send.sent);
    if (!stream.spread.includes(lane)) stream.spread = [...stream.spread, lane];
  }
}

function load(lane: StreamLane): number {
  return lane.streams + (lane.scheduler.hasBulk ? BULK_WEIGHT : 0);
}
