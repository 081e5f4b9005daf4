import type { Socket } from 'node:net';
import { libc } from '../transport/libc.ts';
import { isSilent } from '../transport/linux-socket.ts';

/** How often some of the sockets are looked at, in ms. */
const TICK_MS = 250;

/** How many of them at a time, at two microseconds each. */
const TICK_SOCKETS = 256;

/**
 * TCP's keepalive asks only where nothing is on its way. These are the sockets where something may
 * be, with the silence that is too long: what is sent to a machine that is gone is repeated by the
 * system for a quarter of an hour. See docs/adr/0018.
 */
class SilenceWatch {
  readonly #watched = new Map<Socket, number>();
  #round: Iterator<[Socket, number]> | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** Fails the socket with ETIMEDOUT once the other end is silent for so long. */
  add(socket: Socket, silenceMs: number): void {
    if (libc() === undefined || socket.destroyed) return;
    this.#watched.set(socket, silenceMs);
    socket.once('close', () => this.#watched.delete(socket));
    this.#timer ??= setInterval(() => this.#look(), TICK_MS).unref();
  }

  #look(): void {
    if (this.#watched.size === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
      this.#round = undefined;
      return;
    }
    for (let left = Math.min(TICK_SOCKETS, this.#watched.size); left > 0; left--) {
      this.#round ??= this.#watched.entries();
      const next = this.#round.next();
      if (next.done) {
        this.#round = undefined;
        continue;
      }
      const [socket, silenceMs] = next.value;
      if (!socket.destroyed && isSilent(socket, silenceMs)) socket.destroy(timedOut());
    }
  }
}

/** One for the process: sockets of all services and forwards share its time. */
export const silenceWatch = new SilenceWatch();

/** As the system says it of a connection that it has given up. */
function timedOut(): Error {
  return Object.assign(new Error('read ETIMEDOUT'), { code: 'ETIMEDOUT', syscall: 'read' });
}
