import { createHash } from 'node:crypto';
import net from 'node:net';
import { resetSocket } from '../../../packages/link/src/streams/sockets.ts';
import { Arrivals } from './arrivals.ts';
import { contentDigest, PIECE_BYTES, pieceOf } from './exchange-content.ts';

/** How one end of an exchange ended, and what it had sent and received by then. */
export interface ExchangeEnd {
  readonly sent: number;
  readonly received: number;
  /** SHA-256 in hex of what was received. */
  readonly digest: string;
  /** What was received is the beginning of what the other end sends, byte for byte. */
  readonly intact: boolean;
  /** `end` for a clean end of stream, else the error's code. */
  readonly outcome: string;
}

export interface ExchangeProgress {
  readonly sent: number;
  readonly received: number;
  /** Null while it goes on. */
  readonly outcome: string | null;
}

interface Plan {
  /** As much as is sent before the half-close. */
  readonly sendBytes: number;
  /** As fast as the other end reads, when left out. */
  readonly bytesPerSecond?: number;
}

interface Exchange {
  readonly socket: net.Socket;
  readonly arrivals: Arrivals;
  readonly ended: Promise<ExchangeEnd>;
  sendBytes: number;
  /** Undefined for as fast as the other end reads. */
  bytesPerSecond: number | undefined;
  sent: number;
  outcome: string | null;
}

/** Which content each end sends. */
const SEEDS = { client: 0x636c6965, server: 0x73657276 } as const;
const PACE_MS = 20;

const exchanges = new Map<number, Exchange>();
/** By port: the exchanges a server has accepted, in order. */
const accepted = new Map<number, number[]>();
const servers = new Map<number, net.Server>();
let lastHandle = 0;

/** Listens on all addresses of the namespace; every connection is an exchange. Gives the port. */
export async function serveExchange(params: Plan): Promise<number> {
  const server = net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    accepted.get(port)!.push(begin(socket, params, 'server'));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port: 0, host: '::' }, resolve);
  });
  const { port } = server.address() as net.AddressInfo;
  servers.set(port, server);
  accepted.set(port, []);
  return port;
}

/** Connects and begins. Gives a handle. */
export async function startExchange(
  params: Plan & { host: string; port: number },
): Promise<number> {
  const { host, port } = params;
  const socket = net.connect({ host, port, allowHalfOpen: true, noDelay: true });
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.removeListener('error', reject);
      resolve();
    });
  });
  return begin(socket, params, 'client');
}

/** The handles of what a server has accepted so far. */
export function acceptedExchanges(params: { port: number }): readonly number[] {
  return accepted.get(params.port) ?? [];
}

/** Stops listening and destroys what is open. */
export async function closeExchanges(params: { port: number }): Promise<void> {
  const server = servers.get(params.port);
  if (server === undefined) throw new Error(`no exchange server on port ${params.port}`);
  servers.delete(params.port);
  for (const handle of acceptedExchanges(params)) exchangeOf(handle).socket.destroy();
  await new Promise<void>((resolve) => server.close(() => resolve()));
}

/** Waits until both directions have ended, or the connection has. */
export function exchangeEnd(params: { handle: number }): Promise<ExchangeEnd> {
  return exchangeOf(params.handle).ended;
}

export function exchangeProgress(params: { handle: number }): ExchangeProgress {
  const { sent, arrivals, outcome } = exchangeOf(params.handle);
  return { sent, received: arrivals.bytes, outcome };
}

/** Sends no more than has been sent: the half-close follows at once. */
export function finishExchange(params: { handle: number }): void {
  exchangeOf(params.handle).sendBytes = 0;
}

/** From now on it sends as fast as the other end reads. */
export function hurryExchange(params: { handle: number }): void {
  exchangeOf(params.handle).bytesPerSecond = undefined;
}

/** Gives it up with a reset, as a client does that is killed. */
export function resetExchange(params: { handle: number }): void {
  resetSocket(exchangeOf(params.handle).socket);
}

/**
 * The silence that a cut left, in ms from `fromMs` to the byte that ended it; see
 * {@link Arrivals.silenceAfter}. Null while it lasts.
 */
export function exchangeSilence(params: {
  handle: number;
  fromMs: number;
  withinMs: number;
}): number | null {
  const { arrivals, outcome } = exchangeOf(params.handle);
  return arrivals.silenceAfter(params.fromMs, params.withinMs, outcome === 'end');
}

function exchangeOf(handle: number): Exchange {
  const exchange = exchanges.get(handle);
  if (exchange === undefined) throw new Error(`no exchange ${handle}`);
  return exchange;
}

function begin(socket: net.Socket, plan: Plan, side: 'client' | 'server'): number {
  const arrivals = new Arrivals();
  const digest = createHash('sha256');
  const otherSeed = side === 'client' ? SEEDS.server : SEEDS.client;
  socket.on('data', (bytes: Buffer) => {
    arrivals.add(bytes.length);
    digest.update(bytes);
  });
  socket.on('end', () => {
    exchange.outcome ??= 'end';
  });
  socket.on('error', (error: NodeJS.ErrnoException) => {
    exchange.outcome = error.code ?? error.message;
  });
  const ended = new Promise<ExchangeEnd>((resolve) => {
    socket.on('close', () => {
      const received = arrivals.bytes;
      const hex = digest.digest('hex');
      const intact = hex === contentDigest(otherSeed, received);
      exchange.outcome ??= 'close';
      const { sent, outcome } = exchange;
      resolve({ sent, received, digest: hex, intact, outcome });
    });
  });
  const { sendBytes, bytesPerSecond } = plan;
  const exchange: Exchange = {
    ...{ socket, arrivals, ended, sendBytes, bytesPerSecond },
    ...{ sent: 0, outcome: null },
  };
  lastHandle += 1;
  exchanges.set(lastHandle, exchange);
  send(exchange, SEEDS[side]);
  return lastHandle;
}

function send(exchange: Exchange, seed: number): void {
  const { socket } = exchange;
  const startMs = performance.now();
  let writable = true;
  let finished = false;
  const step = (): void => {
    while (writable && !socket.destroyed && !finished) {
      const left = Math.max(0, exchange.sendBytes - exchange.sent);
      if (left === 0) {
        finished = true;
        socket.end();
        return;
      }
      const { bytesPerSecond } = exchange;
      const due = ((performance.now() - startMs) * (bytesPerSecond ?? 0)) / 1000 + PIECE_BYTES;
      if (bytesPerSecond !== undefined && exchange.sent + PIECE_BYTES > due) return;
      const piece = pieceOf(seed, exchange.sent / PIECE_BYTES).subarray(0, left);
      exchange.sent += piece.length;
      writable = socket.write(piece);
    }
  };
  socket.on('drain', () => {
    writable = true;
    step();
  });
  const timer = setInterval(step, PACE_MS);
  socket.on('close', () => clearInterval(timer));
  step();
}
