import type { Socket } from 'node:net';

/** What happens to the bytes of one direction. Settings may change while bytes are under way. */
export interface DirectionFaults {
  /** From the arrival of a byte to its departure, in ms. */
  readonly latencyMs: number;
  /** Of each connection; null for no limit. */
  readonly bytesPerSecond: number | null;
  /** Bytes are taken, up to what a path holds, and kept until this is false again. */
  readonly stalled: boolean;
  /** Most bytes of one write; null for as many as there are. */
  readonly sliceBytes: number | null;
}

export const NO_FAULTS: DirectionFaults = {
  latencyMs: 0,
  bytesPerSecond: null,
  stalled: false,
  sliceBytes: null,
};

/** What a path without a bandwidth limit holds before its sender has to wait. */
const HELD_BYTES_MAX = 4 * 1024 * 1024;
/** A limited path holds what is under way, and this much time of queue before that. */
const QUEUE_MS = 20;
const QUEUE_BYTES_MIN = 64 * 1024;
const WRITE_BYTES_MAX = 64 * 1024;
/** After a pause a limited path may send this much time's worth at once: timers are coarse. */
const BURST_MS = 5;

interface Held {
  readonly dueMs: number;
  readonly bytes: Buffer;
}

/** Carries the bytes of one direction of one connection, as badly as it is told to. */
export class FaultPipe {
  /** Bytes read from the sender. */
  accepted = 0;
  /** Bytes given to the receiver's socket. */
  delivered = 0;
  /** Bytes with one bit turned. */
  corrupted = 0;
  readonly #from: Socket;
  readonly #to: Socket;
  #faults: DirectionFaults;
  #held: Held[] = [];
  #heldBytes = 0;
  #endDueMs: number | null = null;
  #withheld = false;
  #swallows = false;
  #corruptNext = 0;
  #writing = false;
  #timer: NodeJS.Timeout | undefined;
  #creditBytes = 0;
  #creditAtMs = performance.now();

  constructor(from: Socket, to: Socket, faults: DirectionFaults) {
    this.#from = from;
    this.#to = to;
    this.#faults = faults;
    from.on('data', (bytes: Buffer) => this.#take(bytes));
    from.on('end', () => {
      this.#endDueMs = performance.now() + this.#faults.latencyMs;
      this.#pump();
    });
  }

  set faults(faults: DirectionFaults) {
    this.#faults = faults;
    this.#pump();
  }

  /** From now on bytes are taken and never delivered; the sender does not notice. */
  withhold(): void {
    this.#withheld = true;
    this.#from.resume();
  }

  /** From now on bytes are taken and forgotten; what was held is delivered no more. */
  swallow(): void {
    this.withhold();
    this.#swallows = true;
    this.#held = [];
    this.#heldBytes = 0;
  }

  /** One bit of the next byte that is delivered is turned. */
  corrupt(): void {
    this.#corruptNext += 1;
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#withheld = true;
  }

  #take(bytes: Buffer): void {
    this.accepted += bytes.length;
    if (this.#swallows) return;
    this.#held.push({ dueMs: performance.now() + this.#faults.latencyMs, bytes });
    this.#heldBytes += bytes.length;
    // Withheld bytes are to be lost: their sender goes on as if they were delivered.
    if (this.#heldBytes > this.#capacity() && !this.#withheld) this.#from.pause();
    this.#pump();
  }

  #capacity(): number {
    const { bytesPerSecond, latencyMs } = this.#faults;
    if (bytesPerSecond === null) return HELD_BYTES_MAX;
    return QUEUE_BYTES_MIN + (bytesPerSecond * (latencyMs + QUEUE_MS)) / 1000;
  }

  #pump(): void {
    if (this.#writing || this.#withheld || this.#faults.stalled || this.#to.destroyed) return;
    const nowMs = performance.now();
    const head = this.#held[0];
    const dueMs = head?.dueMs ?? this.#endDueMs;
    if (dueMs === null) return;
    if (dueMs > nowMs) {
      this.#pumpIn(dueMs - nowMs);
    } else if (head === undefined) {
      this.#endDueMs = null;
      this.#to.end();
    } else {
      const length = this.#allowance(head.bytes.length, nowMs);
      if (length === 0) this.#pumpIn(1);
      else this.#write(this.#split(head, length));
    }
  }

  #pumpIn(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#pump(), ms);
  }

  /** How many of `wanted` bytes may go now. */
  #allowance(wanted: number, nowMs: number): number {
    const { bytesPerSecond, sliceBytes } = this.#faults;
    let length = Math.min(wanted, sliceBytes ?? WRITE_BYTES_MAX);
    if (bytesPerSecond === null) return length;
    const earned = ((nowMs - this.#creditAtMs) * bytesPerSecond) / 1000;
    const most = Math.max(1, (bytesPerSecond * BURST_MS) / 1000);
    this.#creditBytes = Math.min(most, this.#creditBytes + earned);
    this.#creditAtMs = nowMs;
    // Not a few bytes at a time, as the clock ticks: as much as a millisecond is worth.
    const least = Math.min(length, Math.max(1, bytesPerSecond / 1000));
    if (this.#creditBytes < least) return 0;
    length = Math.min(length, Math.floor(this.#creditBytes));
    this.#creditBytes -= length;
    return length;
  }

  #split(head: Held, length: number): Buffer {
    if (length === head.bytes.length) this.#held.shift();
    else this.#held[0] = { dueMs: head.dueMs, bytes: head.bytes.subarray(length) };
    this.#heldBytes -= length;
    const bytes = head.bytes.subarray(0, length);
    if (this.#corruptNext > 0) {
      this.#corruptNext -= 1;
      this.corrupted += 1;
      bytes[0] = bytes[0]! ^ 0x01;
    }
    return bytes;
  }

  /** One write at a time: two at once could leave in one piece. */
  #write(bytes: Buffer): void {
    this.#writing = true;
    this.#to.write(bytes, (error) => {
      this.#writing = false;
      if (error === undefined || error === null) this.delivered += bytes.length;
      if (this.#heldBytes <= this.#capacity()) this.#from.resume();
      // Slices that leave in the same turn would arrive in one piece.
      if (this.#faults.sliceBytes === null) this.#pump();
      else setImmediate(() => this.#pump());
    });
  }
}
