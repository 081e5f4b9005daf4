import { Socket } from 'node:net';

/** Errors of writing that say that nobody takes bytes at the other end any more. */
const FINAL = new Set([
  'EPIPE',
  'ECONNRESET',
  'ECONNABORTED',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
]);

/** Emitted once by a socket whose writing half is dead. */
export const WRITING_DIED = 'routy:writing-died';

const DEATH = Symbol('death');
const DONE = Symbol('done');
const ON_WRITTEN = Symbol('on-written');

type Done = (error?: Error | null) => void;

interface KeptSocket extends Socket {
  [DEATH]?: NodeJS.ErrnoException | undefined;
  /** Whom to call for the write under way: a stream has one at a time. */
  [DONE]?: Done | undefined;
  [ON_WRITTEN]?: Done;
}

/**
 * Node destroys a socket when a write fails, and with it what the other end said last and the
 * system still holds: the answer of a server that closes while its client goes on sending. A socket
 * kept readable loses its writing half only. What is written then goes nowhere, as in a direct
 * connection; reading goes on to the end or the reset that the system has for it.
 */
export function keepReadable(socket: Socket): void {
  const kept = socket as KeptSocket;
  if (kept[ON_WRITTEN] !== undefined) return;
  // All that is ever noted in it: sockets of one shape are served by the same compiled code.
  kept[DEATH] = undefined;
  kept[DONE] = undefined;
  // One for all writes of the socket, not one for each.
  kept[ON_WRITTEN] = (error) => kept[DONE]!(survived(kept, error));
  kept._write = write;
  kept._writev = writev;
  kept._final = final;
}

/** The first error of writing. It is the one that says whether the other end had closed (`EPIPE`)
 * or not (`ECONNRESET`) before it reset: the system tells that once. */
export function deathOf(socket: Socket): NodeJS.ErrnoException | undefined {
  return (socket as KeptSocket)[DEATH];
}

function write(this: KeptSocket, chunk: unknown, encoding: BufferEncoding, done: Done): void {
  if (this[DEATH] !== undefined) {
    done();
    return;
  }
  this[DONE] = done;
  Socket.prototype._write.call(this, chunk, encoding, this[ON_WRITTEN]!);
}

function writev(
  this: KeptSocket,
  chunks: { chunk: unknown; encoding: BufferEncoding }[],
  done: Done,
): void {
  if (this[DEATH] !== undefined) {
    done();
    return;
  }
  this[DONE] = done;
  Socket.prototype._writev!.call(this, chunks, this[ON_WRITTEN]!);
}

function final(this: KeptSocket, done: Done): void {
  if (this[DEATH] !== undefined) {
    done();
    return;
  }
  this[DONE] = done;
  Socket.prototype._final.call(this, this[ON_WRITTEN]!);
}

function survived(socket: KeptSocket, error: NodeJS.ErrnoException | null | undefined) {
  if (!error || !FINAL.has(error.code ?? '')) return error;
  if (socket[DEATH] === undefined) {
    socket[DEATH] = error;
    // Not from within the write that failed.
    process.nextTick(() => socket.emit(WRITING_DIED));
  }
  return undefined;
}
