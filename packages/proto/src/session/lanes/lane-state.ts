import { FrameDecoder, type FrameSink } from '../../wire/frame-decoder.ts';
import { FrameWriter } from '../../wire/frame-writer.ts';
import { frameName } from '../../wire/layout.ts';
import { ProtocolError } from '../../wire/protocol-error.ts';
import type { SessionOptions } from '../options.ts';
import type { Prove } from './handshake.ts';
import { Heartbeat } from './heartbeat.ts';
import { type Scheduled, Scheduler } from './scheduler.ts';

/**
 * A path shorter than this is filled by one TCP connection; spreading a stream would only cost the
 * work of putting it together again.
 */
const SPREAD_RTT_MS_MIN = 2;

/** Encoded frames that wait for a lane that takes nothing; more means the peer floods this side. */
const CONTROL_BYTES_MAX = 16 * 1024 * 1024;

/** Pages of a list whose last one has not come yet. */
export interface OffersPages {
  readonly number: number;
  readonly names: Set<string>;
  /** Names that came, those said twice too. */
  count: number;
}

/** A bulk stream's byte on a lane that is not its primary one: its acknowledgement proves the lane. */
interface Probe {
  readonly stream: Scheduled;
  readonly offset: number;
}

/** One lane of a session: what it has yet to send, and whether it lives. */
export class LaneState<S extends Scheduled> {
  /** Rises with every lane of the session, and so names it; on the wire it is the epoch. */
  readonly id: number;
  readonly prove: Prove;
  readonly writer = new FrameWriter();
  readonly scheduler = new Scheduler<S>();
  readonly heartbeat: Heartbeat;
  readonly decoder: FrameDecoder;
  /** While the dialler waits for the answer to its HELLO. */
  readonly handshakeDeadlineMs: number;
  established = false;
  /** The session has given it up; what still comes from it is ignored. */
  closed = false;
  /** Streams whose primary lane it is. */
  streams = 0;
  /** Stream payload bytes. */
  bytesSent = 0;
  /** Number of the last PING that was sent on it. */
  pinged = 0;
  /** The peer's list of services while its pages arrive. */
  offers: OffersPages | undefined;
  #probe: Probe | undefined;

  constructor(
    id: number,
    prove: Prove,
    options: SessionOptions,
    nowMs: number,
    sink: (lane: LaneState<S>) => FrameSink,
  ) {
    this.id = id;
    this.prove = prove;
    this.handshakeDeadlineMs = nowMs + options.handshakeTimeoutMs;
    this.heartbeat = new Heartbeat(options.heartbeatIntervalMs, options.heartbeatMisses, nowMs);
    this.decoder = new FrameDecoder(sink(this));
  }

  get flooded(): boolean {
    return this.writer.pendingBytes > CONTROL_BYTES_MAX;
  }

  /** False when there is nothing for it; true when there may be. */
  get hasToSend(): boolean {
    return this.writer.pendingBytes > 0 || !this.scheduler.empty || this.carriesOthers;
  }

  /** Whether bulk streams of other lanes may take turns here. */
  get carriesOthers(): boolean {
    return this.streams === 0 && (this.heartbeat.rttFloorMs ?? 0) >= SPREAD_RTT_MS_MIN;
  }

  get deadlineMs(): number {
    return this.established ? this.heartbeat.deadlineMs : this.handshakeDeadlineMs;
  }

  /** For a frame that the lane does not take now. */
  outOfOrder(type: number): ProtocolError {
    const phase = this.established ? 'established' : 'waiting for HELLO';
    return new ProtocolError('frame-order', `${frameName(type)} on a lane that is ${phase}`);
  }

  /** A stream of another lane was sent here up to `offset`. */
  carried(stream: S, offset: number): void {
    this.#probe ??= { stream, offset };
  }

  /** The peer acknowledged the stream up to `offset`, all of it. */
  acknowledged(nowMs: number, stream: S, offset: number): void {
    if (this.#probe?.stream !== stream || offset < this.#probe.offset) return;
    this.#probe = undefined;
    this.heartbeat.outboundProof(nowMs);
  }

  /** A stream is gone: its acknowledgement never comes. */
  forget(stream: S): void {
    if (this.#probe?.stream === stream) this.#probe = undefined;
  }
}
