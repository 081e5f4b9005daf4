import type { LaneCode } from '../wire/codes.ts';
import type { FrameSink } from '../wire/frame-decoder.ts';
import type { EventQueue } from './events.ts';
import type { Prove } from './lanes/handshake.ts';
import { LaneState } from './lanes/lane-state.ts';
import type { SessionOptions } from './options.ts';
import type { LaneSet } from './streams/lane-set.ts';
import type { Stream, StreamLane } from './streams/stream.ts';

/**
 * An acceptor keeps a session without a lane so many times as long as the dialler tries: a dialler
 * that comes back in its last moment must find it.
 */
const ACCEPTOR_KEEPS = 1.25;

/** What a session does about its lanes' coming and going. */
export interface LaneOwner {
  /** Where the lane's frames go. */
  framesOf(lane: StreamLane): FrameSink;
  ping(lane: StreamLane): void;
  /** A lane is gone; `other` is one that is left, if any. */
  onLost(lane: StreamLane, other: StreamLane | undefined): void;
  /** There is no lane any more, nor will there be. */
  onAbandoned(code: LaneCode, reason: string, remote: boolean): void;
}

/** Which lanes carry a session, whether they live, and how long it is kept without any. */
export class LaneKeeper {
  readonly #options: SessionOptions;
  readonly #lanes: LaneSet;
  readonly #events: EventQueue;
  readonly #owner: LaneOwner;
  readonly #keepMs: number;
  /** A first lane has been established. */
  #begun = false;
  #suspendedAtMs: number | undefined;
  /** When the peer was last heard, on any lane. */
  #heardAtMs: number;

  constructor(
    options: SessionOptions,
    lanes: LaneSet,
    events: EventQueue,
    owner: LaneOwner,
    nowMs: number,
  ) {
    this.#options = options;
    this.#lanes = lanes;
    this.#events = events;
    this.#owner = owner;
    this.#heardAtMs = nowMs;
    this.#keepMs = options.resumeTimeMs * (options.role === 'acceptor' ? ACCEPTOR_KEEPS : 1);
  }

  get suspended(): boolean {
    return this.#suspendedAtMs !== undefined;
  }

  /** When {@link handleTimeout} wants to be called; Infinity for never. */
  get deadlineMs(): number {
    let atMs = this.suspended ? this.#heardAtMs + this.#keepMs : Infinity;
    for (const lane of this.#lanes.all()) atMs = Math.min(atMs, lane.deadlineMs);
    return atMs;
  }

  add(nowMs: number, id: number, prove: Prove): StreamLane {
    const sink = (lane: StreamLane): FrameSink => this.#owner.framesOf(lane);
    const lane = new LaneState<Stream>(id, prove, this.#options, nowMs, sink);
    this.#lanes.add(lane);
    return lane;
  }

  /** The peer was heard on the lane. */
  heard(nowMs: number, lane: StreamLane): void {
    lane.heartbeat.inboundProof(nowMs);
    if (lane.established) this.#heardAtMs = nowMs;
  }

  /** The lane carries the session from now on. */
  establish(nowMs: number, lane: StreamLane): void {
    this.#begun = true;
    this.#lanes.establish(lane);
    // While an acceptor deliberated, the dialler had to be silent.
    lane.heartbeat.outboundProof(nowMs);
    this.heard(nowMs, lane);
    this.#events.push({ kind: 'lane-up', lane: lane.id });
    if (this.#suspendedAtMs === undefined) return;
    const suspendedMs = nowMs - this.#suspendedAtMs;
    this.#suspendedAtMs = undefined;
    this.#events.push({ kind: 'resumed', lane: lane.id, suspendedMs });
  }

  /** The lane is given up, here or by the peer. Its streams move to another, or wait for one. */
  lose(nowMs: number, lane: StreamLane, code: LaneCode, reason: string, remote: boolean): void {
    // The acceptor may have established it already: no other code ends this lane alone.
    const said = this.#begun && !lane.established ? 'lane-done' : code;
    this.end(lane, code, reason, remote, said);
    if (!this.#begun) {
      this.#owner.onAbandoned(code, reason, remote);
      return;
    }
    const other = this.#lanes.liveliest;
    this.#owner.onLost(lane, other);
    if (other !== undefined || this.suspended) return;
    this.#suspendedAtMs = nowMs;
    this.#events.push({ kind: 'suspended' });
    if (this.#keepMs === 0) this.#owner.onAbandoned(code, reason, remote);
  }

  /** The lane ends, and nothing else is done about it. The peer is told `said`. */
  end(lane: StreamLane, code: LaneCode, reason: string, remote: boolean, said = code): void {
    this.#lanes.remove(lane);
    const abort = code === 'heartbeat-timeout' || code === 'lane-lost';
    const last: Uint8Array[] = [];
    if (!abort && !remote) lane.writer.close(said, reason);
    lane.writer.drainTo(last);
    this.#events.push({ kind: 'lane-closed', lane: lane.id, code, reason, remote, abort, last });
  }

  handleTimeout(nowMs: number): void {
    for (const lane of this.#lanes.all()) {
      if (!lane.closed) this.#handleLaneTimeout(nowMs, lane);
    }
    if (!this.suspended || nowMs < this.#heardAtMs + this.#keepMs) return;
    const seconds = Math.round(this.#keepMs / 100) / 10;
    const reason = `no lane, and nothing heard for ${seconds} s`;
    this.#owner.onAbandoned('resume-timeout', reason, false);
  }

  #handleLaneTimeout(nowMs: number, lane: StreamLane): void {
    if (!lane.established) {
      if (nowMs < lane.handshakeDeadlineMs) return;
      this.lose(nowMs, lane, 'handshake-timeout', 'no HELLO from the peer in time', false);
      return;
    }
    const dead = lane.heartbeat.deadReason(nowMs);
    if (dead !== undefined) this.lose(nowMs, lane, 'heartbeat-timeout', dead, false);
    else if (lane.heartbeat.pingDue(nowMs)) this.#owner.ping(lane);
  }
}
