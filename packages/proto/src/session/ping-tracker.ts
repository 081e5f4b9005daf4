import type { FrameHeader } from '../wire/frame-decoder.ts';
import { parseNumber } from '../wire/payload.ts';
import type { EventQueue } from './events.ts';
import type { Resync } from './resume/resync.ts';
import type { LaneSet } from './streams/lane-set.ts';
import type { StreamLane } from './streams/stream.ts';

/** PINGs and PONGs of all lanes of a session. */
export class PingTracker {
  readonly #lanes: LaneSet;
  readonly #resync: Resync;
  readonly #events: EventQueue;
  #sequence = 0;

  constructor(lanes: LaneSet, resync: Resync, events: EventQueue) {
    this.#lanes = lanes;
    this.#resync = resync;
    this.#events = events;
  }

  /** The lane with the shortest path; undefined when none carries the session. */
  get nearest(): StreamLane | undefined {
    let nearest: StreamLane | undefined;
    for (const lane of this.#lanes.established) {
      const rttMs = lane.heartbeat.rttMinMs ?? Infinity;
      if (nearest === undefined || rttMs < (nearest.heartbeat.rttMinMs ?? Infinity)) nearest = lane;
    }
    return nearest;
  }

  /** Sends a PING; returns its sequence number, which no other lane's has. */
  ping(nowMs: number, wallUs: number, lane: StreamLane): number {
    const sequence = ++this.#sequence;
    lane.heartbeat.ping(nowMs, sequence);
    lane.writer.ping(sequence, wallUs);
    this.#resync.pinged(lane, sequence);
    return sequence;
  }

  /** The peer's PING. */
  answer(wallUs: number, lane: StreamLane, header: FrameHeader, payload: Uint8Array): void {
    lane.writer.pong(header.offset, parseNumber(payload, 0), wallUs, wallUs);
  }

  /** The peer's PONG. */
  answered(
    nowMs: number,
    wallUs: number,
    lane: StreamLane,
    header: FrameHeader,
    payload: Uint8Array,
  ): void {
    const [t1, t2, t3] = [0, 1, 2].map((index) => parseNumber(payload, index));
    const sample = lane.heartbeat.pong(nowMs, header.offset, t1!, t2!, t3!, wallUs);
    if (sample === undefined) return;
    this.#resync.ponged(lane, header.offset);
    this.#events.push({ kind: 'pong', ...sample });
  }
}
