import type { Socket } from 'node:net';
import { libc } from '../transport/native/libc.ts';
import { isSilent } from '../transport/native/linux-socket.ts';
import { type Seat, SocketRounds } from './socket-rounds.ts';
import { askWhetherAlive, isTcp } from './sockets.ts';

/** How many of them at a time, at two microseconds each. */
const TICK_SOCKETS = 256;
/** Questions, each a second after the one before. */
const QUESTION_MS = 1000;
const QUESTIONS = 10;
const QUESTIONS_MS = QUESTIONS * QUESTION_MS;

const SEAT = Symbol('seat');

interface KeptAlive extends Socket {
  [SEAT]?: Seat<Kept>;
}

interface Kept {
  readonly socket: Socket;
  readonly idleMs: number;
  /** The system has been told to ask. */
  isAsked: boolean;
}

const rounds = new SocketRounds<Kept>(TICK_SOCKETS, ({ socket }) => socket.destroyed, look);

/**
 * Has the system ask the other end after so much silence whether it is still there, and again each
 * second; after ten questions without an answer the connection fails with ETIMEDOUT. Less than a
 * second cannot be asked for. The system is told within a quarter of a second, or some when there
 * are thousands: most connections have ended by then, and are spared its four calls.
 *
 * TCP asks only where nothing is on its way: what is sent to a machine that is gone is repeated for
 * a quarter of an hour. There the same silence is looked for here. See docs/adr/0018.
 */
export function keepAlive(socket: Socket, silenceMs: number): void {
  if (silenceMs > 0) {
    const kept = { socket, idleMs: Math.max(silenceMs, 1000), isAsked: false };
    (socket as KeptAlive)[SEAT] = rounds.join(kept);
  }
}

/** The socket closes by itself now, or is closed already. */
export function forgetAlive(socket: Socket): void {
  const seat = (socket as KeptAlive)[SEAT];
  if (seat !== undefined) seat.member = undefined;
}

function look(kept: Kept): boolean {
  const { socket, idleMs } = kept;
  if (!kept.isAsked) {
    kept.isAsked = true;
    // Unix sockets know neither; and who cannot look has nothing more to do.
    if (!isTcp(socket)) return false;
    askWhetherAlive(socket, idleMs, QUESTION_MS, QUESTIONS);
    return libc() !== undefined;
  }
  if (isSilent(socket, idleMs + QUESTIONS_MS)) socket.destroy(timedOut());
  return true;
}

/** As the system says it of a connection that it has given up. */
function timedOut(): Error {
  return Object.assign(new Error('read ETIMEDOUT'), { code: 'ETIMEDOUT', syscall: 'read' });
}
