import type { Socket } from 'node:net';
import { deathOf, keepReadable } from './kept-readable.ts';
import { type Seat, SocketRounds } from './socket-rounds.ts';
import { handleOf, isTcp } from './sockets.ts';

/** How many of them at a time: 16,384 that stand still are all looked at every four seconds. */
const TICK_SOCKETS = 1024;

const NOTHING = new Uint8Array(0);

/** Whoever has a socket that at times nobody reads. */
export interface Watched {
  /** Undefined as soon as nobody has to know any more what becomes of it. */
  readonly watchedSocket: Socket | undefined;
  /** It is not read at the moment. */
  readonly isUnread: boolean;
  /** The connection is over. Called once. */
  gone(): void;
}

/**
 * Sockets that nobody reads: their stream has no credit, they are held, or their end has been read.
 * The event loop tells nothing of those, not even that the other end has reset. So they are asked now
 * and then, a bounded number at a time. One for the process: all sessions and forwards share its time.
 */
const rounds = new SocketRounds<Watched>(
  TICK_SOCKETS,
  ({ watchedSocket }) => watchedSocket === undefined,
  (watched) => {
    if (!watched.isUnread || !isGone(watched.watchedSocket!)) return true;
    watched.gone();
    return false;
  },
);

/**
 * Has its socket asked, whenever it is unread, whether its connection is over. Who has no more need of
 * that leaves its seat.
 */
export function watch(watched: Watched): Seat<Watched> {
  return rounds.join(watched);
}

/**
 * The other end has reset the connection or has not answered for too long; a unix socket's has been
 * closed altogether. What came before may still be there to be read. A connection that this end has
 * half-closed is never called gone: one that was then closed in order looks the same.
 */
export function isGone(socket: Socket): boolean {
  if (socket.destroyed || deathOf(socket) !== undefined) return true;
  if (socket.connecting || socket.writableEnded) return false;
  // Without side effect. The system has no peer for a connection that is over (ENOTCONN).
  if (isTcp(socket)) return handleOf(socket)!.getpeername!({}) !== 0;
  return !isAnswering(socket);
}

/** Writing nothing does nothing, but fails where the other end is closed. */
function isAnswering(socket: Socket): boolean {
  if (socket.writableLength > 0) return true;
  keepReadable(socket);
  socket.write(NOTHING);
  return deathOf(socket) === undefined;
}
