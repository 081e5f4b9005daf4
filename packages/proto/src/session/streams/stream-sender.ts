import { invariant } from '../../base/errors.ts';
import type { StreamCode } from '../../wire/codes.ts';
import { FLAG_FIN_DELIVERED, FrameType } from '../../wire/layout.ts';
import { BytesInFlight } from '../flow/bytes-in-flight.ts';
import { acceptPayload } from '../negotiation.ts';
import type { Stream, StreamLane } from './stream.ts';
import type { StreamTable } from './stream-table.ts';

/** Payload bytes a stream sends in one turn. */
const TURN_BYTES_MAX = 64 * 1024;

/** Less is not worth a turn on a lane that is not the stream's primary lane. */
const BORROWED_BYTES_MIN = 32 * 1024;

/** Up to this, copying is cheaper than one more piece for the lane to gather. */
const COPIED_BYTES_MAX = 1024;

/**
 * What this side says about streams. A stream without a primary lane is silent: what it has to say is said
 * again once the peer has told what it knows.
 */
export class StreamSender {
  readonly #store: StreamTable;

  constructor(store: StreamTable) {
    this.#store = store;
  }

  open(stream: Stream): void {
    const { id, receive, request } = stream;
    this.#store.unconfirmed.opened(id, stream.lane);
    stream.lane?.writer.json(FrameType.OPEN, id, receive.limit, request);
  }

  accept(stream: Stream): void {
    const { lane, id, receive, agreement } = stream;
    lane?.writer.encoded(FrameType.ACCEPT, id, receive.limit, acceptPayload(agreement!));
    // ACCEPT grants credit but acknowledges nothing of the data that came before it.
    if (stream.receive.delivered > 0 || stream.finDelivered) this.credit(stream);
  }

  credit(stream: Stream): void {
    const { lane, receive } = stream;
    if (lane === undefined) return;
    receive.grant();
    this.#sayCredit(lane, stream);
  }

  /** Resets a stream and forgets it. Any lane will do: the peer takes RESET in any order. */
  reset(stream: Stream, code: StreamCode, reason: string): void {
    const lane = stream.lane ?? this.#store.lanes.leastLoaded();
    lane?.writer.reset(stream.id, stream.send.everSent, code, reason);
    this.#store.bury(stream.id, code, lane?.id);
    this.#store.remove(stream);
  }

  /**
   * The connection behind the stream was reset: the peer learns it at once, and what the connection
   * had brought before still goes to it. The stream stays until the peer resets it, too.
   */
  resetAfterData(stream: Stream, code: StreamCode, reason: string): void {
    stream.resetting = { code, reason };
    this.#store.silenceWriter(stream);
    this.sayReset(stream);
  }

  /** Says it, or says it again. Where a half-close came before it waits for that, or for a primary lane. */
  sayReset({ lane, id, send, sendEnded, finCarried, resetting }: Stream): void {
    if (resetting === undefined || (sendEnded && !finCarried)) return;
    lane?.writer.reset(id, send.written, resetting.code, resetting.reason);
  }

  /** The peer's reset is answered when everything that came before it was delivered. */
  answerReset(stream: Stream): void {
    if (!stream.resetTold || stream.receive.delivered !== stream.finalSize) return;
    this.reset(stream, 'cancelled', 'reset at the other end');
  }

  /** Refuses a stream that never came to be. */
  refuse(lane: StreamLane, id: number, code: StreamCode, reason: string): void {
    lane.writer.reset(id, 0, code, reason);
    this.#store.bury(id, code, lane.id);
  }

  /** Forgets a stream when both directions have ended and both sides know. */
  settle(stream: Stream): void {
    if (!stream.settled) return;
    const lane = stream.lane ?? this.#store.lanes.leastLoaded();
    // That the peer's direction has ended was said before the stream fell silent, or on a lane that
    // was its primary lane then and may be lost yet: the tombstone is about what this lane carries.
    const saidHere = stream.lane !== undefined && stream.spread.length === 0;
    if (!saidHere && lane !== undefined) this.#sayCredit(lane, stream);
    this.#store.bury(stream.id, undefined, lane?.id);
    this.#store.remove(stream);
    if (!stream.ownerless) this.#store.events.push({ kind: 'finished', stream: stream.id });
  }

  schedule(stream: Stream): void {
    if (stream.phase === 'incoming') return;
    if (stream.hasToSend) stream.lane?.scheduler.add(stream);
  }

  /** A lane has come up: it becomes the primary lane of its share of the streams. */
  share(lane: StreamLane): void {
    for (const stream of this.#store.all()) {
      const primary = stream.lane;
      if (primary === undefined || !stream.confirmed || primary.streams <= lane.streams + 1)
        continue;
      this.#store.lanes.move(stream, lane);
      this.schedule(stream);
    }
  }

  /** Appends one stream's turn on the lane to `out`; false when no stream has anything to send. */
  turn(lane: StreamLane, out: Uint8Array[]): boolean {
    const stream = lane.scheduler.next();
    if (stream === undefined) return this.#borrowedTurn(lane, out);
    // A stream may have gone, moved, or lost its reason to send, while it waited.
    if (stream.lane !== lane) return true;
    if (!this.#store.lanes.hasShare(stream, lane)) {
      lane.scheduler.park(stream);
      return true;
    }
    const length = Math.min(stream.sendableBytes, TURN_BYTES_MAX);
    if (length > 0) this.#data(stream, lane, length, out);
    if (stream.finDue) {
      stream.finSent = true;
      stream.finCarried = true;
      lane.writer.fin(stream.id, stream.send.written);
      this.sayReset(stream);
    }
    this.schedule(stream);
    return true;
  }

  /** An idle lane takes a turn of a bulk stream whose primary lane is busy. */
  #borrowedTurn(lane: StreamLane, out: Uint8Array[]): boolean {
    if (!lane.carriesOthers) return false;
    for (const primary of this.#store.lanes.established) {
      const stream = primary === lane ? undefined : primary.scheduler.nextBulk();
      if (stream === undefined || stream.lane !== primary) continue;
      const length = Math.min(stream.sendableBytes, TURN_BYTES_MAX);
      const bulk = stream.confirmed && length >= BORROWED_BYTES_MIN;
      const borrows = bulk && this.#store.lanes.hasShare(stream, lane);
      if (borrows) {
        stream.flight ??= inFlightOn(stream, primary);
        this.#data(stream, lane, length, out);
        this.#store.lanes.spread(stream, lane);
      }
      this.schedule(stream);
      if (borrows) return true;
    }
    return false;
  }

  #sayCredit(lane: StreamLane, { id, receive, finDelivered }: Stream): void {
    const flags = finDelivered ? FLAG_FIN_DELIVERED : 0;
    lane.writer.credit(id, receive.limit, receive.delivered, flags);
  }

  #data(stream: Stream, lane: StreamLane, length: number, out: Uint8Array[]): void {
    const offset = stream.send.sent;
    const before = stream.send.everSent;
    const end = offset + length;
    invariant(end <= stream.creditLimit, 'DATA goes beyond its credit', end, stream.creditLimit);
    if (length <= COPIED_BYTES_MAX) {
      const parts: Uint8Array[] = [];
      stream.send.take(length, parts);
      lane.writer.data(stream.id, offset, length, parts);
    } else {
      lane.writer.dataHeader(stream.id, offset, length);
      lane.writer.drainTo(out);
      stream.send.take(length, out);
    }
    stream.flight?.sent(lane, end, length);
    lane.bytesSent += length;
    this.#store.totals.bytesSent += stream.send.everSent - before;
  }
}

/** What a stream has on its primary lane before its first turn on another lane. */
function inFlightOn({ send }: Stream, primary: StreamLane): BytesInFlight<StreamLane> {
  const flight = new BytesInFlight<StreamLane>();
  if (send.sent > send.acked) flight.sent(primary, send.sent, send.sent - send.acked);
  return flight;
}
