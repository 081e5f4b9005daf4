import type { Socket } from 'node:net';

/** More clients than this at once are turned away: each costs a file descriptor. */
const HELD_MAX = 4096;

interface Held {
  readonly socket: Socket;
  readonly untilMs: number;
}

/** Clients of an unreachable service, waiting with paused sockets for at most the same time each. */
export class HoldQueue {
  readonly #holdMs: number;
  readonly #onExpired: (socket: Socket) => void;
  /** Oldest first, which is also soonest to expire first: one timer serves all. */
  readonly #held = new Set<Held>();
  #timer: NodeJS.Timeout | undefined;

  constructor(holdMs: number, onExpired: (socket: Socket) => void) {
    this.#holdMs = holdMs;
    this.#onExpired = onExpired;
  }

  /** False when the queue is full; the socket stays the caller's then. */
  add(socket: Socket): boolean {
    if (this.#held.size >= HELD_MAX) return false;
    // A client that fails while it waits must not fail the process; it is noticed when released.
    socket.on('error', ignore);
    this.#held.add({ socket, untilMs: performance.now() + this.#holdMs });
    if (this.#timer === undefined) this.#arm(this.#holdMs);
    return true;
  }

  /** Empties the queue into `take`. */
  release(take: (socket: Socket) => void): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const held = [...this.#held];
    this.#held.clear();
    for (const { socket } of held) {
      socket.removeListener('error', ignore);
      if (socket.destroyed) continue;
      take(socket);
    }
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
