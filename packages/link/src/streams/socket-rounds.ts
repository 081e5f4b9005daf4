import type { Socket } from 'node:net';

/** How often some of the sockets are looked at, in ms. */
const TICK_MS = 250;

/** Sockets that are looked at in turn, a bounded number at a time, so that many cost no pause. */
export class SocketRounds<T> {
  readonly #atOnce: number;
  readonly #look: (socket: Socket, value: T) => void;
  readonly #sockets = new Map<Socket, T>();
  #round: Iterator<[Socket, T]> | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** `look` is called for up to `atOnce` sockets every 250 ms. */
  constructor(atOnce: number, look: (socket: Socket, value: T) => void) {
    this.#atOnce = atOnce;
    this.#look = look;
  }

  add(socket: Socket, value: T): void {
    this.#sockets.set(socket, value);
    this.#timer ??= setInterval(() => this.#tick(), TICK_MS).unref();
  }

  remove(socket: Socket): void {
    this.#sockets.delete(socket);
  }

  #tick(): void {
    if (this.#sockets.size === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
      this.#round = undefined;
      return;
    }
    for (let left = Math.min(this.#atOnce, this.#sockets.size); left > 0; left--) {
      this.#round ??= this.#sockets.entries();
      const next = this.#round.next();
      if (next.done) this.#round = undefined;
      else this.#look(...next.value);
    }
  }
}
