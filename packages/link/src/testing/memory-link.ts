import type { Timers } from '../transport/timers.ts';

/** What a network does to the bytes that go one way. */
export interface LaneFaults {
  /** From sent to arrived, in ms; 0 by default. */
  readonly latencyMs?: number;
  /** Unlimited by default. */
  readonly bytesPerSecond?: number;
  /** Size of the next piece that arrives, from 1; by default as written, at most 16 KiB as in TLS. */
  chunkBytes?(): number;
}

interface Sender {
  /** The queue fell to zero. */
  onEmpty(): void;
  /** Everything and the end after it are on the way. */
  onEnded(): void;
}

interface Receiver {
  onData(chunk: Uint8Array): void;
  onEnd(): void;
  onReset(): void;
}

type Arrival = Uint8Array | 'end' | 'reset';

/** Bytes under way or arrived and not read: what the buffers of two sockets hold. */
const CAPACITY_BYTES = 256 * 1024;

const CHUNK_BYTES = 16 * 1024;

/**
 * One direction of a memory lane: queue, line, inbox. Like a kernel it takes from the queue while
 * there is room on the line and in the inbox, and delivers in order.
 */
export class MemoryLink {
  readonly #timers: Timers;
  #faults: LaneFaults;
  #sender: Sender | undefined;
  #receiver: Receiver | undefined;
  /** Written, not yet on the line. */
  #queue: Uint8Array[] = [];
  #queuedBytes = 0;
  #ending = false;
  /** When the line is free for the next piece. */
  #freeAt = 0;
  #cancelPump: (() => void) | undefined;
  /** On the line, in order, with the time of arrival. */
  #line: { readonly at: number; readonly what: Arrival }[] = [];
  #cancelArrival: (() => void) | undefined;
  #stalled = false;
  /** Arrived, not read. */
  #inbox: Arrival[] = [];
  /** Of line and inbox. */
  #heldBytes = 0;
  #open = false;
  #delivering = false;
  #discarded = false;

  constructor(timers: Timers, faults: LaneFaults) {
    this.#timers = timers;
    this.#faults = faults;
  }

  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  attachSender(sender: Sender): void {
    this.#sender = sender;
  }

  attachReceiver(receiver: Receiver): void {
    this.#receiver = receiver;
  }

  setFaults(faults: LaneFaults): void {
    this.#faults = faults;
  }

  /** Takes a copy: what the receiver keeps must not change with the sender's buffer. */
  push(buffer: Uint8Array): void {
    if (buffer.length === 0) return;
    this.#queue.push(new Uint8Array(buffer));
    this.#queuedBytes += buffer.length;
    this.#pumpLater();
  }

  end(): void {
    this.#ending = true;
    this.#pumpLater();
  }

  /** The sender is gone: what is queued is lost, what is on the line arrives before the reset. */
  reset(): void {
    this.#dropQueue();
    this.#ending = false;
    this.#depart('reset');
  }

  /** Either end is gone: nothing moves any more. */
  discard(): void {
    this.#discarded = true;
    this.#dropQueue();
    this.#line = [];
    this.#inbox = [];
    this.#cancelArrival?.();
  }

  stall(): void {
    this.#stalled = true;
    this.#cancelArrival?.();
    this.#cancelArrival = undefined;
  }

  heal(): void {
    this.#stalled = false;
    this.#awaitArrival();
  }

  /** The receiver reads. */
  open(): void {
    this.#open = true;
    this.#deliverLater();
  }

  /** The receiver does not read. */
  shut(): void {
    this.#open = false;
  }

  #dropQueue(): void {
    this.#queue = [];
    this.#queuedBytes = 0;
    this.#cancelPump?.();
    this.#cancelPump = undefined;
  }

  #pumpLater(): void {
    if (this.#cancelPump !== undefined || this.#discarded) return;
    const delayMs = Math.max(0, this.#freeAt - this.#timers.now());
    this.#cancelPump = this.#timers.after(delayMs, () => {
      this.#cancelPump = undefined;
      this.#pump();
    });
  }

  /** Puts pieces on the line until it is busy or full. */
  #pump(): void {
    const hadBytes = this.#queuedBytes > 0;
    while (this.#queue.length > 0 && this.#heldBytes < CAPACITY_BYTES) {
      if (this.#freeAt > this.#timers.now()) {
        this.#pumpLater();
        break;
      }
      const piece = this.#takePiece();
      this.#heldBytes += piece.length;
      const rate = this.#faults.bytesPerSecond;
      if (rate !== undefined) {
        this.#freeAt = Math.max(this.#freeAt, this.#timers.now()) + (piece.length / rate) * 1000;
      }
      this.#depart(piece);
    }
    if (this.#queue.length > 0) return;
    if (this.#ending) {
      this.#ending = false;
      this.#depart('end');
      this.#sender?.onEnded();
    } else if (hadBytes) {
      this.#sender?.onEmpty();
    }
  }

  #takePiece(): Uint8Array {
    const first = this.#queue[0]!;
    const limit = Math.max(1, this.#faults.chunkBytes?.() ?? CHUNK_BYTES);
    const piece = first.subarray(0, limit);
    if (piece.length === first.length) this.#queue.shift();
    else this.#queue[0] = first.subarray(limit);
    this.#queuedBytes -= piece.length;
    return piece;
  }

  #depart(what: Arrival): void {
    if (this.#discarded) return;
    const sent = Math.max(this.#freeAt, this.#timers.now()) + (this.#faults.latencyMs ?? 0);
    // Order holds even when the latency was lowered meanwhile.
    const at = Math.max(sent, this.#line[this.#line.length - 1]?.at ?? 0);
    this.#line.push({ at, what });
    this.#awaitArrival();
  }

  #awaitArrival(): void {
    const next = this.#line[0];
    if (next === undefined || this.#stalled || this.#cancelArrival !== undefined) return;
    const delayMs = Math.max(0, next.at - this.#timers.now());
    this.#cancelArrival = this.#timers.after(delayMs, () => this.#handleArrival());
  }

  #handleArrival(): void {
    this.#cancelArrival = undefined;
    const now = this.#timers.now();
    while (this.#line.length > 0 && this.#line[0]!.at <= now) {
      const { what } = this.#line.shift()!;
      if (what === 'reset') {
        this.#receiver?.onReset();
        return;
      }
      this.#inbox.push(what);
    }
    this.#awaitArrival();
    this.#deliver();
  }

  #deliverLater(): void {
    this.#timers.after(0, () => this.#deliver());
  }

  #deliver(): void {
    if (this.#delivering) return;
    this.#delivering = true;
    while (this.#open && !this.#discarded && this.#inbox.length > 0) {
      const what = this.#inbox.shift()!;
      if (what === 'end') {
        this.#receiver?.onEnd();
      } else if (what !== 'reset') {
        this.#heldBytes -= what.length;
        this.#receiver?.onData(what);
      }
    }
    this.#delivering = false;
    if (this.#queue.length > 0) this.#pumpLater();
  }
}
