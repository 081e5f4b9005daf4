import type { Clock } from '../clock.ts';
import type { Random } from '../random.ts';

/** How a lane behaves, the same both ways. */
export interface LanePlan {
  readonly latencyMs: number;
  /** Added to the latency at random; bytes stay in order. */
  readonly jitterMs: number;
  readonly bytesPerMs: number;
  /** Bytes the sending end queues before it asks the session to wait. */
  readonly queueBytes: number;
  /** Largest piece the bytes are cut into, whatever pieces they were written in. */
  readonly pieceBytes: number;
}

export interface LaneHandlers {
  onBytes(bytes: Uint8Array): void;
  /** There is room in the queue again. */
  onRoom(): void;
  /** Once, last. */
  onClosed(reason: string): void;
}

/** One end of a lane, as a session's driver sees it. */
export interface LaneEnd {
  /** Bytes the queue takes before it is full; zero or less when it is. */
  readonly roomBytes: number;
  bind(handlers: LaneHandlers): void;
  write(buffers: readonly Uint8Array[]): void;
  /** Sends what is queued, then closes. */
  end(): void;
  /** Closes at once; the other end notices when the path lets it. */
  destroy(): void;
}

/** A byte pipe both ways over one path that can stall, swallow everything, or break. */
export class SimLane {
  readonly number: number;
  readonly plan: LanePlan;
  /** Known to both ends of this lane and to nobody else. */
  readonly exporter: string;
  readonly ends: readonly [LaneEnd, LaneEnd];
  /** True once anything made the path slower than its plan says. */
  faulted = false;
  /** Ends that have closed it. */
  readonly left = [false, false];
  /** An end was told to close it while its session goes on. */
  done = false;
  /** An end of it is somebody who should not be there. */
  crooked = false;
  readonly #pipes: readonly [Pipe, Pipe];

  constructor(clock: Clock, random: Random, number: number, plan: LanePlan) {
    this.number = number;
    this.plan = plan;
    this.exporter = random.hex(16);
    const forth = new Pipe(clock, random, plan);
    const back = new Pipe(clock, random, plan);
    this.#pipes = [forth, back];
    this.ends = [
      new PipeEnd(forth, back, () => this.#leave(0)),
      new PipeEnd(back, forth, () => this.#leave(1)),
    ];
  }

  /** Nothing leaves the given ends for so long; Infinity swallows everything from now on. */
  stall(durationMs: number, froms: readonly number[]): void {
    this.faulted = true;
    for (const from of froms) this.#pipes[from]!.stall(durationMs);
  }

  /**
   * The lane breaks. Ends in `noticing` learn of it at once, the others never. What was queued is
   * lost, and with `flightLost` what was under way.
   */
  cut(noticing: readonly number[], flightLost: boolean, reason: string): void {
    this.faulted = true;
    for (const pipe of this.#pipes) pipe.sever(flightLost);
    for (const end of noticing) this.#pipes[1 - end]!.close(reason);
  }

  /** The end takes the lane for lost; what it has queued arrives nevertheless, so much later. */
  ghost(end: number, delayMs: number, reason: string): void {
    this.faulted = true;
    this.#pipes[end]!.stall(delayMs);
    this.#pipes[1 - end]!.close(reason);
  }

  #leave(end: number): void {
    this.left[end] = true;
  }
}

class PipeEnd implements LaneEnd {
  readonly #out: Pipe;
  readonly #in: Pipe;
  readonly #onLeft: () => void;

  constructor(out: Pipe, into: Pipe, onLeft: () => void) {
    this.#out = out;
    this.#in = into;
    this.#onLeft = onLeft;
  }

  get roomBytes(): number {
    return this.#out.roomBytes;
  }

  bind(handlers: LaneHandlers): void {
    this.#in.receiver = handlers;
    this.#out.onRoom = () => handlers.onRoom();
  }

  write(buffers: readonly Uint8Array[]): void {
    this.#out.write(buffers);
  }

  end(): void {
    this.#onLeft();
    this.#in.deafen();
    this.#out.finish('the peer ended the lane');
  }

  destroy(): void {
    this.#onLeft();
    this.#in.deafen();
    this.#out.abort('the peer destroyed the lane');
  }
}

/** One direction: a queue at the sender, a bandwidth, a latency, pieces of any size. */
class Pipe {
  receiver: LaneHandlers | undefined;
  onRoom: (() => void) | undefined;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #plan: LanePlan;
  #queue: Uint8Array[] = [];
  #queuedBytes = 0;
  #moving = false;
  #full = false;
  #stalledUntilMs = 0;
  #lastArrivalMs = 0;
  /** Set when the sender is done: the receiver hears it after everything queued. */
  #finishReason: string | undefined;
  /** Nothing is carried any more. */
  #dead = false;
  /** What is under way never arrives. */
  #flightLost = false;

  constructor(clock: Clock, random: Random, plan: LanePlan) {
    this.#clock = clock;
    this.#random = random;
    this.#plan = plan;
  }

  get roomBytes(): number {
    return this.#dead ? 0 : this.#plan.queueBytes - this.#queuedBytes;
  }

  write(buffers: readonly Uint8Array[]): void {
    if (this.#dead) return;
    for (const buffer of buffers) {
      this.#queue.push(buffer);
      this.#queuedBytes += buffer.length;
    }
    if (this.roomBytes <= 0) this.#full = true;
    this.#move();
  }

  stall(durationMs: number): void {
    this.#stalledUntilMs = Math.max(this.#stalledUntilMs, this.#clock.nowMs + durationMs);
  }

  /** Nothing leaves any more. */
  sever(flightLost: boolean): void {
    this.#stalledUntilMs = Infinity;
    this.#flightLost ||= flightLost;
  }

  finish(reason: string): void {
    this.#finishReason ??= reason;
    this.#move();
  }

  /** The sender is gone and what is queued with it. */
  abort(reason: string): void {
    this.#queue = [];
    this.#queuedBytes = 0;
    this.finish(reason);
  }

  /** The receiver takes nothing any more; what is sent to it is lost. */
  deafen(): void {
    this.receiver = undefined;
  }

  /** Tells the receiver now. */
  close(reason: string): void {
    this.#dead = true;
    const receiver = this.receiver;
    this.receiver = undefined;
    receiver?.onClosed(reason);
  }

  #move(): void {
    if (this.#moving || this.#dead) return;
    if (this.#queuedBytes === 0 && this.#finishReason === undefined) return;
    if (this.#stalledUntilMs === Infinity) return;
    this.#moving = true;
    const length = Math.min(this.#queuedBytes, this.#random.int(1, this.#plan.pieceBytes));
    const startMs = Math.max(this.#clock.nowMs, this.#stalledUntilMs);
    this.#clock.at(startMs + length / this.#plan.bytesPerMs, () => this.#depart(length));
  }

  #depart(length: number): void {
    this.#moving = false;
    if (this.#dead || this.#stalledUntilMs === Infinity) return;
    if (this.#stalledUntilMs > this.#clock.nowMs) {
      this.#move();
      return;
    }
    if (this.#queuedBytes > 0) {
      // Copied as late as possible: a session that changed bytes it had handed out would show.
      const piece = this.#takePiece(Math.min(length, this.#queuedBytes));
      this.#arrive(() => this.receiver?.onBytes(piece));
    } else if (this.#finishReason !== undefined) {
      const reason = this.#finishReason;
      this.#arrive(() => this.close(reason));
      return;
    }
    this.#move();
    if (this.#full && this.roomBytes > 0) {
      this.#full = false;
      this.onRoom?.();
    }
  }

  #arrive(run: () => void): void {
    const delayMs = this.#plan.latencyMs + this.#plan.jitterMs * this.#random.float();
    this.#lastArrivalMs = Math.max(this.#lastArrivalMs, this.#clock.nowMs + delayMs);
    this.#clock.at(this.#lastArrivalMs, () => {
      if (!this.#flightLost) run();
    });
  }

  #takePiece(length: number): Uint8Array {
    const piece = new Uint8Array(length);
    let filled = 0;
    while (filled < length) {
      const first = this.#queue[0]!;
      const part = first.subarray(0, length - filled);
      piece.set(part, filled);
      filled += part.length;
      if (part.length === first.length) this.#queue.shift();
      else this.#queue[0] = first.subarray(part.length);
    }
    this.#queuedBytes -= length;
    return piece;
  }
}
