import type { StreamSocket } from '@routy/link/streams';

/** More clients than this at once are turned away: each costs a file descriptor. */
const HELD_MAX = 4096;

/** How often a full queue is looked through for clients that hung up, in ms. */
const LOOK_PAUSE_MS = 100;

/** A client that waits. */
interface Held {
  readonly socket: StreamSocket;
  readonly untilMs: number;
}

/** Clients of an unreachable service, waiting with paused sockets for at most the same time each. */
export class HoldQueue {
  readonly #holdMs: number;
  readonly #onExpired: (socket: StreamSocket) => void;
  readonly #onGone: () => void;
  /** Oldest first, which is also soonest to expire first: one timer serves all. */
  readonly #held = new Set<Held>();
  #timer: NodeJS.Timeout | undefined;
  #lookAgainAtMs = 0;

  /** `onGone` is called for each client that hung up while it waited; it is served no more. */
  constructor(holdMs: number, onExpired: (socket: StreamSocket) => void, onGone: () => void) {
    this.#holdMs = holdMs;
    this.#onExpired = onExpired;
    this.#onGone = onGone;
  }

  /** False when the queue is full; the socket stays the caller's then. */
  add(socket: StreamSocket): boolean {
    if (this.#held.size >= HELD_MAX && !this.#makeRoom()) return false;
    const held = { socket, untilMs: performance.now() + this.#holdMs };
    this.#held.add(held);
    socket.hold(() => this.#drop(held));
    if (this.#timer === undefined) this.#arm(this.#holdMs);
    return true;
  }

  /** Empties the queue into `take`. */
  release(take: (socket: StreamSocket) => void): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const held = [...this.#held];
    this.#held.clear();
    for (const each of held) {
      each.socket.release();
      if (each.socket.isGone) this.#drop(each);
      else take(each.socket);
    }
  }

  /** Clients that hung up must not keep others out. */
  #makeRoom(): boolean {
    const nowMs = performance.now();
    if (nowMs < this.#lookAgainAtMs) return false;
    this.#lookAgainAtMs = nowMs + LOOK_PAUSE_MS;
    for (const held of this.#held) {
      if (held.socket.isGone) this.#drop(held);
    }
    return this.#held.size < HELD_MAX;
  }

  #drop(held: Held): void {
    this.#held.delete(held);
    held.socket.release();
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
      held.socket.release();
      this.#onExpired(held.socket);
    }
  }
}
