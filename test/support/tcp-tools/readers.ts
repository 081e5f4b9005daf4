import net from 'node:net';

interface Reader {
  readonly socket: net.Socket;
  bytes: number;
  /** How the connection ended: `end` or the error's code; null while it stands. */
  outcome: string | null;
}

const readers = new Map<number, Reader>();
let lastHandle = 0;

/**
 * Connects and reads at most `bytesPerSecond`, or as fast as it can when that is left out. Gives a
 * handle once connected.
 */
export async function openReader(params: {
  host: string;
  port: number;
  bytesPerSecond?: number;
}): Promise<number> {
  const socket = net.connect({
    host: params.host,
    port: params.port,
    // A small window of its own, so that a slow reader is felt at the far end soon.
    ...(params.bytesPerSecond === undefined ? {} : { highWaterMark: 4096 }),
  });
  const reader: Reader = { socket, bytes: 0, outcome: null };
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.removeListener('error', reject);
      resolve();
    });
  });
  socket.on('end', () => {
    reader.outcome ??= 'end';
  });
  socket.on('error', (error: NodeJS.ErrnoException) => {
    reader.outcome ??= error.code ?? error.message;
  });
  socket.on('data', (chunk) => {
    reader.bytes += chunk.length;
    if (params.bytesPerSecond !== undefined) rest(socket, chunk.length, params.bytesPerSecond);
  });
  lastHandle += 1;
  readers.set(lastHandle, reader);
  return lastHandle;
}

function rest(socket: net.Socket, bytes: number, bytesPerSecond: number): void {
  socket.pause();
  setTimeout(() => socket.resume(), (bytes / bytesPerSecond) * 1000);
}

/** Has a reader send a byte. */
export function sendAsReader(params: { handle: number }): void {
  readerOf(params.handle).socket.write('x');
}

/** Bytes per second a reader gets over the next `ms`. */
export async function readerRate(params: { handle: number; ms: number }): Promise<number> {
  const reader = readerOf(params.handle);
  const before = reader.bytes;
  const startMs = performance.now();
  await new Promise((resolve) => setTimeout(resolve, params.ms));
  if (reader.outcome !== null) throw new Error(`the reader's connection ended: ${reader.outcome}`);
  return ((reader.bytes - before) / (performance.now() - startMs)) * 1000;
}

/** Bytes a reader has got so far. */
export function readerBytes(params: { handle: number }): number {
  return readerOf(params.handle).bytes;
}

/** How a reader's connection ended: `end` or an error's code; null while it stands. */
export function readerOutcome(params: { handle: number }): string | null {
  return readerOf(params.handle).outcome;
}

export function closeReader(params: { handle: number }): void {
  readerOf(params.handle).socket.destroy();
  readers.delete(params.handle);
}

function readerOf(handle: number): Reader {
  const reader = readers.get(handle);
  if (reader === undefined) throw new Error(`no reader ${handle}`);
  return reader;
}
