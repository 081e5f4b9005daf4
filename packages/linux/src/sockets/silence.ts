import { SocketRounds } from '@routy/link/streams';
import { ETIMEDOUT, systemError } from '../system/system-error.ts';
import type { NativeSocket } from './native-socket.ts';

/** How many at a time, at two microseconds each. */
const TICK_SOCKETS = 256;
/** One question a second, ten of them, before the system itself gives up. */
const QUESTIONS_MS = 10_000;

interface Kept {
  readonly socket: NativeSocket;
  readonly silenceMs: number;
  /** The system has been told to ask. */
  isAsked: boolean;
}

/**
 * Fails connections whose other end has not been heard of for too long, with ETIMEDOUT, as `keepAlive`
 * of `link` does for sockets of Node and for its reasons (docs/adr/0018): one that answers and does not
 * read is left alone, which the user timeout of TCP would not do.
 */
export class SilenceWatch {
  readonly #rounds = new SocketRounds<Kept>(
    TICK_SOCKETS,
    ({ socket }) => socket.isClosed,
    (kept) => look(kept),
  );

  /** After so much silence, in ms and at least a second, the other end is asked if it is still there. */
  join(socket: NativeSocket, silenceMs: number): void {
    if (silenceMs > 0) this.#rounds.join({ socket, silenceMs, isAsked: false });
  }
}

function look(kept: Kept): boolean {
  const { socket, silenceMs } = kept;
  if (!kept.isAsked) {
    kept.isAsked = true;
    socket.keepAlive(silenceMs);
    return !socket.isUnix;
  }
  if (socket.isSilent(Math.max(silenceMs, 1000) + QUESTIONS_MS)) {
    socket.fail(systemError('read', ETIMEDOUT));
  }
  return true;
}
