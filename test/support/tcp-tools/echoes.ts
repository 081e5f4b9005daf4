import { createHash } from 'node:crypto';
import net from 'node:net';
import { contentDigest, PIECE_BYTES, pieceOf } from './exchange-content.ts';

/** What has come back on many echo connections. */
export interface EchoesProgress {
  /** Connections on which everything that was sent has come back, byte for byte. */
  readonly complete: number;
  /** Connections on which something else came back. */
  readonly wrong: number;
  readonly receivedBytes: number;
  /** Connections that ended, by error code or `end`. */
  readonly ended: Readonly<Record<string, number>>;
}

interface Echo {
  readonly socket: net.Socket;
  readonly digest: ReturnType<typeof createHash>;
  received: number;
  state: 'open' | 'complete' | 'wrong';
  ended: string | null;
}

interface Echoes {
  readonly list: readonly Echo[];
  bytes: number;
}

const held = new Map<number, Echoes>();
let lastHandle = 0;

/** Opens `count` echo connections, gets a byte back on each, and keeps them. Gives a handle. */
export async function openEchoes(params: {
  host: string;
  port: number;
  count: number;
}): Promise<number> {
  const { host, port, count } = params;
  const sockets = await Promise.all(
    Array.from({ length: count }, () => answered(net.connect({ host, port, noDelay: true }))),
  );
  const echoes: Echoes = { list: sockets.map(watch), bytes: 0 };
  lastHandle += 1;
  held.set(lastHandle, echoes);
  for (const echo of echoes.list) echo.socket.on('data', (data) => take(echoes, echo, data));
  return lastHandle;
}

/** Sends the first `bytes` of a content over each connection; what comes back is compared. */
export function floodEchoes(params: { handle: number; bytes: number }): void {
  const echoes = held.get(params.handle)!;
  echoes.bytes = params.bytes;
  for (const [seed, { socket }] of echoes.list.entries()) {
    for (let at = 0, index = 0; at < params.bytes; at += PIECE_BYTES, index += 1) {
      socket.write(pieceOf(seed, index).subarray(0, Math.min(PIECE_BYTES, params.bytes - at)));
    }
  }
}

export function echoesProgress(params: { handle: number }): EchoesProgress {
  const { list } = held.get(params.handle)!;
  const ended: Record<string, number> = {};
  for (const echo of list) {
    if (echo.ended !== null) ended[echo.ended] = (ended[echo.ended] ?? 0) + 1;
  }
  return {
    complete: list.filter(({ state }) => state === 'complete').length,
    wrong: list.filter(({ state }) => state === 'wrong').length,
    receivedBytes: list.reduce((sum, { received }) => sum + received, 0),
    ended,
  };
}

/** Ends every connection and waits until all are closed. */
export async function closeEchoes(params: { handle: number }): Promise<void> {
  const { list } = held.get(params.handle)!;
  held.delete(params.handle);
  await Promise.all(
    list.map(async ({ socket }) => {
      const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
      socket.end();
      if (!socket.destroyed) await closed;
    }),
  );
}

function answered(socket: net.Socket): Promise<net.Socket> {
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.once('data', () => {
      socket.removeListener('error', reject);
      resolve(socket);
    });
    socket.write('x');
  });
}

function watch(socket: net.Socket): Echo {
  const digest = createHash('sha256');
  const echo: Echo = { socket, digest, received: 0, state: 'open', ended: null };
  socket.on('end', () => {
    echo.ended ??= 'end';
  });
  socket.on('error', (error: NodeJS.ErrnoException) => {
    echo.ended = error.code ?? error.message;
  });
  return echo;
}

function take(echoes: Echoes, echo: Echo, data: Buffer): void {
  echo.received += data.length;
  if (echo.received > echoes.bytes) {
    echo.state = 'wrong';
    return;
  }
  echo.digest.update(data);
  if (echo.received < echoes.bytes) return;
  const seed = echoes.list.indexOf(echo);
  const same = echo.digest.digest('hex') === contentDigest(seed, echoes.bytes);
  echo.state = same ? 'complete' : 'wrong';
}
