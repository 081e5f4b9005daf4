import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';

/** Pause between the end of one echo and the next, in ms. */
const ECHO_PAUSE_MS = 5;
const ECHO_TIMEOUT_MS = 10_000;

export interface Figures {
  /** Of 64-byte messages, in ms. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  readonly count: number;
}

/**
 * Echoes of 64 bytes over one connection, one after the other, for so long.
 * @throws when the connection is ended or an echo does not come within 10 s
 */
export async function measureEcho(port: number, seconds: number): Promise<Figures> {
  const socket = connect({ host: '127.0.0.1', port, noDelay: true });
  const times: number[] = [];
  const untilMs = performance.now() + seconds * 1000;
  try {
    while (performance.now() < untilMs) {
      times.push(await echo(socket));
      await new Promise((resolve) => setTimeout(resolve, ECHO_PAUSE_MS));
    }
  } finally {
    socket.destroy();
  }
  times.sort((a, b) => a - b);
  const at = (share: number): number =>
    times[Math.min(times.length - 1, Math.floor(share * times.length))]!;
  return { p50Ms: at(0.5), p99Ms: at(0.99), maxMs: times.at(-1)!, count: times.length };
}

function echo(socket: Socket): Promise<number> {
  return new Promise((resolve, reject) => {
    const startMs = performance.now();
    let missing = 64;
    const settle = (error?: Error): void => {
      clearTimeout(timer);
      socket.off('data', onData).off('error', settle).off('close', onClose);
      if (error === undefined) resolve(performance.now() - startMs);
      else reject(error);
    };
    const onData = (chunk: Buffer): void => {
      missing -= chunk.length;
      if (missing <= 0) settle();
    };
    const onClose = (): void => settle(new Error('the honest connection was closed'));
    const timer = setTimeout(() => settle(new Error('no echo within 10 s')), ECHO_TIMEOUT_MS);
    socket.on('data', onData).once('error', settle).once('close', onClose);
    socket.write(new Uint8Array(64));
  });
}

/** Bytes a second that one connection brings, in MB/s; the first tenth of the time is not counted. */
export async function measureBulk(port: number, seconds: number): Promise<number> {
  const buffer = new Uint8Array(256 * 1024);
  let bytes = 0;
  let failure: Error | undefined;
  const callback = (length: number): boolean => {
    bytes += length;
    return true;
  };
  const socket = connect({ host: '127.0.0.1', port, onread: { buffer, callback } });
  socket.once('error', (error) => {
    failure = error;
  });
  await new Promise((resolve) => setTimeout(resolve, seconds * 100));
  const [fromBytes, fromMs] = [bytes, performance.now()];
  await new Promise((resolve) => setTimeout(resolve, seconds * 900));
  const rate = (bytes - fromBytes) / 1e3 / (performance.now() - fromMs);
  socket.destroy();
  if (failure !== undefined) throw failure;
  return rate;
}

/** Resident memory of a process, in MiB. */
export function rssMiB(pid: number): number {
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1];
  return Number(kib ?? 0) / 1024;
}

/** The most lines that a log of JSON lines has in any minute. */
export function linesInWorstMinute(log: string): number {
  const times = log
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => Date.parse((JSON.parse(line) as { time: string }).time))
    .sort((a, b) => a - b);
  let most = 0;
  let from = 0;
  for (const [index, time] of times.entries()) {
    while (time - times[from]! > 60_000) from += 1;
    most = Math.max(most, index - from + 1);
  }
  return most;
}
