import type { Socket } from 'node:net';
import { libc } from '../transport/libc.ts';
import { isSilent } from '../transport/linux-socket.ts';
import { SocketRounds } from './socket-rounds.ts';

/** How many of them at a time, at two microseconds each. */
const TICK_SOCKETS = 256;

/**
 * TCP's keepalive asks only where nothing is on its way. These are the sockets where something may
 * be, with the silence that is too long: what is sent to a machine that is gone is repeated by the
 * system for a quarter of an hour. See docs/adr/0018.
 */
class SilenceWatch {
  readonly #rounds = new SocketRounds<number>(TICK_SOCKETS, (socket, silenceMs) => {
    if (!socket.destroyed && isSilent(socket, silenceMs)) socket.destroy(timedOut());
  });

  /** Fails the socket with ETIMEDOUT once the other end is silent for so long. */
  add(socket: Socket, silenceMs: number): void {
    if (libc() === undefined || socket.destroyed) return;
    this.#rounds.add(socket, silenceMs);
    socket.once('close', () => this.#rounds.remove(socket));
  }
}

/** One for the process: sockets of all services and forwards share its time. */
export const silenceWatch = new SilenceWatch();

/** As the system says it of a connection that it has given up. */
function timedOut(): Error {
  return Object.assign(new Error('read ETIMEDOUT'), { code: 'ETIMEDOUT', syscall: 'read' });
}
