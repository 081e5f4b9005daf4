/** How many samples the clock filter looks back over, as NTP does (RFC 5905 section 10). */
const FILTER_SAMPLES = 8;

/** The first PINGs follow each other quickly: windows need an RTT before the first interval is over. */
export const WARM_UP_PINGS = 4;
const WARM_UP_MS = 100;

/** PINGs that may be unanswered before older ones are forgotten. */
const OUTSTANDING_MAX = 64;

export interface HeartbeatSample {
  readonly sequence: number;
  readonly rttMs: number;
  /** Peer's wall clock minus this side's. */
  readonly clockOffsetMs: number;
}

/**
 * Says when to send a PING, measures RTT and clock offset, and judges whether the lane lives.
 *
 * A lane is dead when for `interval x misses` either nothing arrived, or nothing proved that what
 * this side sends arrives. Proof is a PONG or an acknowledgement that moved: behind megabytes of
 * queued data on a slow path a PONG may be late although all is well.
 */
export class Heartbeat {
  readonly #intervalMs: number;
  readonly #deadAfterMs: number;
  readonly #sentAtMs = new Map<number, number>();
  readonly #samples: HeartbeatSample[] = [];
  #pings = 0;
  #rttFloorMs: number | undefined;
  #nextPingAtMs: number;
  #inboundProofMs: number;
  #outboundProofMs: number;

  constructor(intervalMs: number, misses: number, nowMs: number) {
    this.#intervalMs = intervalMs;
    this.#deadAfterMs = intervalMs * misses;
    this.#nextPingAtMs = nowMs;
    this.#inboundProofMs = nowMs;
    this.#outboundProofMs = nowMs;
  }

  /** When {@link pingDue} or {@link deadReason} may change. */
  get deadlineMs(): number {
    return Math.min(this.#nextPingAtMs, this.#deadAtMs());
  }

  /** When bytes arrived last. */
  get heardAtMs(): number {
    return this.#inboundProofMs;
  }

  /** Smallest RTT of the last samples: the path without queues. */
  get rttMinMs(): number | undefined {
    return this.#best()?.rttMs;
  }

  /** Smallest RTT there ever was. */
  get rttFloorMs(): number | undefined {
    return this.#rttFloorMs;
  }

  /** RTT of the last sample. */
  get rttMs(): number | undefined {
    return this.#samples.at(-1)?.rttMs;
  }

  /** Clock offset of the sample with the smallest RTT, whose error is at most half of that RTT. */
  get clockOffsetMs(): number | undefined {
    return this.#best()?.clockOffsetMs;
  }

  pingDue(nowMs: number): boolean {
    return nowMs >= this.#nextPingAtMs;
  }

  /** A PING is sent now. Sequence numbers rise; several lanes may share them. */
  ping(nowMs: number, sequence: number): void {
    this.#pings++;
    this.#sentAtMs.set(sequence, nowMs);
    if (this.#sentAtMs.size > OUTSTANDING_MAX) {
      this.#sentAtMs.delete(this.#sentAtMs.keys().next().value!);
    }
    const pauseMs = this.#pings < WARM_UP_PINGS ? WARM_UP_MS : this.#intervalMs;
    this.#nextPingAtMs = nowMs + Math.min(pauseMs, this.#intervalMs);
  }

  /**
   * A PONG arrived. Clocks in µs: `t1` this side's on sending, `t2` and `t3` the peer's, `t4` this
   * side's now; offset by RFC 5905 section 8. Undefined for an answer nobody waits for.
   */
  pong(
    nowMs: number,
    sequence: number,
    t1: number,
    t2: number,
    t3: number,
    t4: number,
  ): HeartbeatSample | undefined {
    const sentAtMs = this.#sentAtMs.get(sequence);
    if (sentAtMs === undefined) return undefined;
    this.#sentAtMs.delete(sequence);
    this.#outboundProofMs = nowMs;
    const sample = {
      sequence,
      rttMs: Math.max(0, nowMs - sentAtMs - (t3 - t2) / 1000),
      clockOffsetMs: (t2 - t1 + (t3 - t4)) / 2000,
    };
    this.#rttFloorMs = Math.min(this.#rttFloorMs ?? sample.rttMs, sample.rttMs);
    this.#samples.push(sample);
    if (this.#samples.length > FILTER_SAMPLES) this.#samples.shift();
    return sample;
  }

  /** Bytes arrived. */
  inboundProof(nowMs: number): void {
    this.#inboundProofMs = nowMs;
  }

  /** The peer acknowledged something new. */
  outboundProof(nowMs: number): void {
    this.#outboundProofMs = nowMs;
  }

  /** Why the lane is dead, or undefined while it lives. */
  deadReason(nowMs: number): string | undefined {
    if (nowMs < this.#deadAtMs()) return undefined;
    const seconds = this.#deadAfterMs / 1000;
    return this.#inboundProofMs <= this.#outboundProofMs
      ? `nothing arrived for ${seconds} s`
      : `no answer to heartbeats for ${seconds} s`;
  }

  #deadAtMs(): number {
    return Math.min(this.#inboundProofMs, this.#outboundProofMs) + this.#deadAfterMs;
  }

  #best(): HeartbeatSample | undefined {
    let best: HeartbeatSample | undefined;
    for (const sample of this.#samples) {
      if (best === undefined || sample.rttMs < best.rttMs) best = sample;
    }
    return best;
  }
}
