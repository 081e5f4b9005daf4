import type { Socket } from 'node:net';
import { isGone, type Watched, watch } from '@routy/link/streams';

/** More clients than this at once are turned away: each costs a file descriptor. */
const HELD_MAX = 4096;

/** How often a full queue is looked through for clients that hung up, in ms. */
const LOOK_PAUSE_MS = 100;

/** A client that waits. */
class Held implements Watched {
  readonly socket: Socket;
  readonly untilMs: number;
  readonly isUnread = true;
  readonly #queue: ReadonlySet<Held>;
  readonly #onGone: (held: Held) => void;

  constructor(
    socket: Socket,
    untilMs: number,
    queue: ReadonlySet<Held>,
    onGone: (held: Held) => void,
  ) {
    this.socket = socket;
    this.untilMs = untilMs;
    this.#queue = queue;
    this.#onGone = onGone;
  }

  get watchedSocket(): Socket | undefined {
    return this.#queue.has(this) ? this.socket : undefined;
  }

  gone(): void {
    this.#onGone(this);
  }
}

/** Clients of an unreachable service, waiting with paused sockets for at most the same time each. */
export class HoldQueue {
  readonly #holdMs: number;
  readonly #onExpired: (socket: Socket) => void;
  readonly #onGone: () => void;
  readonly #onHeldGone = (held: Held) => this.#drop(held);
  /** Oldest first, which is also soonest to expire first: one timer serves all. */
  readonly #held = new Set<Held>();
  #timer: NodeJS.Timeout | undefined;
  #lookAgainAtMs = 0;

  /** `onGone` is called for each client that hung up while it waited; it is served no more. */
  constructor(holdMs: number, onExpired: (socket: Socket) => void, onGone: () => void) {
    this.#holdMs = holdMs;
    this.#onExpired = onExpired;
    this.#onGone = onGone;
  }

  /** False when the queue is full; the socket stays the caller's then. */
  add(socket: Socket): boolean {
    if (this.#held.size >= HELD_MAX && !this.#makeRoom()) return false;
    // A client that fails while it waits must not fail the process; it is noticed by the watch.
    socket.on('error', ignore);
    const untilMs = performance.now() + this.#holdMs;
    const held = new Held(socket, untilMs, this.#held, this.#onHeldGone);
    this.#held.add(held);
    watch(held);
    if (this.#timer === undefined) this.#arm(this.#holdMs);
    return true;
  }

  /** Empties the queue into `take`. */
  release(take: (socket: Socket) => void): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const held = [...this.#held];
    this.#held.clear();
    for (const each of held) {
      if (isGone(each.socket)) {
        this.#drop(each);
        continue;
      }
      each.socket.removeListener('error', ignore);
      take(each.socket);
    }
  }

  /** Clients that hung up must not keep others out. */
  #makeRoom(): boolean {
    const nowMs = performance.now();
    if (nowMs < this.#lookAgainAtMs) return false;
    this.#lookAgainAtMs = nowMs + LOOK_PAUSE_MS;
    for (const held of this.#held) {
      if (isGone(held.socket)) this.#drop(held);
    }
    return this.#held.size < HELD_MAX;
  }

  #drop(held: Held): void {
    this.#held.delete(held);
    held.socket.destroy();
    this.#onGone();
  }

  #arm(delayMs: number): void {
    this.#timer = setTimeout(() => this.#expire(), delayMs);
  }

  #expire(): void {
    this.#timer = undefined;
    const nowMs = performance.now();
    for (const held of this.#held) {
      // Timers fire up to a millisecond early; the rest would then be a timer of nothing.
      if (held.untilMs > nowMs + 1) {
        this.#arm(held.untilMs - nowMs);
        return;
      }
      this.#held.delete(held);
      this.#onExpired(held.socket);
    }
  }
}

function ignore(): void {}
