import { createHash } from 'node:crypto';
import net from 'node:net';
import { resetSocket } from '../../../packages/link/src/streams/sockets.ts';
import { pattern } from './pattern.ts';

interface Where {
  readonly host: string;
  readonly port: number;
}

export interface Reply {
  readonly bytes: number;
  /** SHA-256 of the reply in hex. */
  readonly digest: string;
  /** `end` for a clean end of stream, else the error's code. */
  readonly outcome: string;
}

/** Sends `sendBytes` of pattern, shuts its write side, and reads the reply to its end. */
export function halfClose(params: Where & { sendBytes: number }): Promise<Reply> {
  return new Promise((resolve) => {
    const digest = createHash('sha256');
    let bytes = 0;
    let outcome = 'close';
    const socket = net.connect({ host: params.host, port: params.port, allowHalfOpen: true });
    socket.end(pattern(params.sendBytes));
    socket.on('data', (chunk) => {
      bytes += chunk.length;
      digest.update(chunk);
    });
    socket.on('end', () => {
      outcome = 'end';
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      outcome = error.code ?? error.message;
    });
    socket.on('close', () => resolve({ bytes, digest: digest.digest('hex'), outcome }));
  });
}

export interface Probe {
  /** `data`, `end`, `silent`, or the code of the first error (`ECONNREFUSED`, `ECONNRESET`, …). */
  readonly outcome: string;
  /** From the call to the connection; null when none was made. */
  readonly connectMs: number | null;
  /** From the connection (or the call, when none was made) to the outcome. */
  readonly outcomeMs: number;
}

/** Connects, sends one byte if asked to, and tells the first thing that happens. */
export function probe(params: Where & { send?: boolean; silentMs?: number }): Promise<Probe> {
  return new Promise((resolve) => {
    const startMs = performance.now();
    let connectedMs: number | null = null;
    const socket = net.connect({ host: params.host, port: params.port, noDelay: true });
    const finish = (outcome: string): void => {
      clearTimeout(timer);
      socket.destroy();
      const connectMs = connectedMs === null ? null : connectedMs - startMs;
      resolve({ outcome, connectMs, outcomeMs: performance.now() - (connectedMs ?? startMs) });
    };
    const timer = setTimeout(() => finish('silent'), params.silentMs ?? 15_000);
    socket.on('connect', () => {
      connectedMs = performance.now();
      if (params.send === true) socket.write('x');
    });
    socket.on('data', () => finish('data'));
    socket.on('end', () => finish('end'));
    socket.on('error', (error: NodeJS.ErrnoException) => finish(error.code ?? error.message));
  });
}

/** Connects, sends a byte, waits for its echo, and then resets the connection. */
export async function echoThenReset(params: Where): Promise<void> {
  const socket = await echoedOnce(params);
  resetSocket(socket);
}

export interface Burst {
  readonly answered: number;
  /** Failures by error code or `wrong answer`. */
  readonly failures: Readonly<Record<string, number>>;
  readonly ms: number;
}

/** Makes `count` connections, `concurrency` at a time: each sends a byte, gets it back, ends. */
export async function burst(
  params: Where & { count: number; concurrency: number },
): Promise<Burst> {
  const startMs = performance.now();
  const failures: Record<string, number> = {};
  let started = 0;
  let answered = 0;
  const worker = async (): Promise<void> => {
    while (started < params.count) {
      started += 1;
      try {
        await endCleanly(await echoedOnce(params));
        answered += 1;
      } catch (error) {
        const code = (error as NodeJS.ErrnoException).code ?? (error as Error).message;
        failures[code] = (failures[code] ?? 0) + 1;
      }
    }
  };
  await Promise.all(Array.from({ length: params.concurrency }, worker));
  return { answered, failures, ms: performance.now() - startMs };
}

/** A connection over which one byte has been echoed. */
function echoedOnce(params: Where): Promise<net.Socket> {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ host: params.host, port: params.port, noDelay: true });
    socket.once('error', reject);
    socket.once('end', () => reject(new Error('ended before the answer')));
    socket.once('data', (chunk) => {
      socket.removeAllListeners('end').removeListener('error', reject);
      if (chunk.length === 1 && chunk[0] === 0x78) resolve(socket);
      else reject(new Error('wrong answer'));
    });
    socket.write('x');
  });
}

function endCleanly(socket: net.Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    let ended = false;
    socket.on('end', () => {
      ended = true;
    });
    socket.on('error', reject);
    socket.on('close', () => (ended ? resolve() : reject(new Error('no clean end'))));
    socket.resume().end();
  });
}

const held = new Map<number, net.Socket[]>();
let lastHandle = 0;

/** Opens `count` echo connections, all at once, and keeps them. Gives a handle. */
export async function hold(params: Where & { count: number }): Promise<number> {
  const sockets = await Promise.all(Array.from({ length: params.count }, () => echoedOnce(params)));
  for (const socket of sockets) socket.on('error', () => {});
  lastHandle += 1;
  held.set(lastHandle, sockets);
  return lastHandle;
}

/** Sends a byte over every held connection; gives how many came back within 10 s. */
export async function pokeHeld(params: { handle: number }): Promise<number> {
  const answers = held.get(params.handle)!.map(
    (socket) =>
      new Promise<boolean>((resolve) => {
        const timer = setTimeout(() => resolve(false), 10_000);
        socket.once('data', () => {
          clearTimeout(timer);
          resolve(true);
        });
        socket.write('x');
      }),
  );
  return (await Promise.all(answers)).filter((answered) => answered).length;
}

/** Ends every held connection and waits until all are closed. */
export async function releaseHeld(params: { handle: number }): Promise<void> {
  const sockets = held.get(params.handle)!;
  held.delete(params.handle);
  await Promise.all(sockets.map(endCleanly));
}
