/**
 * Bulk load generator: N connections that all upload or all download for some seconds. Counts at
 * the receiving end: here for a download, at the service for an upload. Says `{flowing:true}` once
 * bytes arrive on every connection; `stop` ends it early.
 */
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Running, serveCommands } from './commands.ts';
import { DOWNLOAD, pump, UPLOAD } from './pump.ts';

export interface BulkCommand {
  readonly port: number;
  readonly direction: 'up' | 'down';
  readonly streams: number;
  readonly seconds: number;
}

export interface BulkResult {
  readonly gbitPerSecond: number;
  /** All bytes that arrived, warm-up included. */
  readonly bytes: number;
}

/** What has arrived, and when that was last known to be true. */
interface Arrived {
  bytes: number;
  atMs: number;
}

interface Stream {
  readonly socket: Socket;
  arrived(): Arrived;
  failure(): string | null;
}

const READ_BYTES = 256 * 1024;
const WARM_UP_MS = 250;
const ARRIVAL_TIMEOUT_MS = 10_000;
const buffer = new Uint8Array(READ_BYTES);

serveCommands(run);

async function run(command: BulkCommand, running: Running): Promise<BulkResult> {
  const streams = Array.from({ length: command.streams }, () => open(command));
  try {
    await allFlow(streams);
    running.progress({ flowing: true });
    await sleep(WARM_UP_MS);
    const before = streams.map((stream) => stream.arrived());
    const options = { signal: running.stopped };
    await sleep(command.seconds * 1000, undefined, options).catch(() => {});
    const after = streams.map((stream) => stream.arrived());
    failOnFailure(streams);
    return summarize(before, after);
  } finally {
    for (const { socket } of streams) socket.destroy();
  }
}

function open({ port, direction }: BulkCommand): Stream {
  const upload = direction === 'up';
  const seen: Arrived = { bytes: 0, atMs: performance.now() };
  const countBytes = (length: number) => {
    seen.bytes += length;
  };
  const onBytes = upload ? readReports(seen) : countBytes;
  let failure: string | null = null;
  const socket = connect({
    port,
    host: '127.0.0.1',
    onread: {
      buffer,
      callback(length) {
        onBytes(length);
        return true;
      },
    },
  });
  socket.once('error', (error) => (failure = error.message));
  socket.once('close', () => (failure ??= 'closed by the other side'));
  socket.once('connect', () => {
    socket.write(Uint8Array.of(upload ? UPLOAD : DOWNLOAD));
    if (upload) pump(socket);
  });
  // A download's count is true now; an upload's was when the service said so.
  const arrived = () => (upload ? { ...seen } : { bytes: seen.bytes, atMs: performance.now() });
  return { socket, arrived, failure: () => failure };
}

/** Puts the service's reports of 8 bytes together, however the tunnel cut them. */
function readReports(seen: Arrived): (length: number) => void {
  const report = Buffer.alloc(8);
  let filled = 0;
  return (length) => {
    for (let index = 0; index < length; index++) {
      report[filled++] = buffer[index]!;
      if (filled < 8) continue;
      filled = 0;
      seen.bytes = Number(report.readBigUInt64LE());
      seen.atMs = performance.now();
    }
  };
}

async function allFlow(streams: readonly Stream[]): Promise<void> {
  const deadline = performance.now() + ARRIVAL_TIMEOUT_MS;
  while (!streams.every((stream) => stream.arrived().bytes > 0)) {
    failOnFailure(streams);
    if (performance.now() > deadline) throw new Error('nothing arrived within 10 s');
    await sleep(5);
  }
}

function failOnFailure(streams: readonly Stream[]): void {
  for (const stream of streams) {
    const failure = stream.failure();
    if (failure !== null) throw new Error(`bulk connection: ${failure}`);
  }
}

function summarize(before: readonly Arrived[], after: readonly Arrived[]): BulkResult {
  let gbitPerSecond = 0;
  let bytes = 0;
  for (const [index, to] of after.entries()) {
    const from = before[index]!;
    const elapsedMs = to.atMs - from.atMs;
    if (elapsedMs > 0) gbitPerSecond += ((to.bytes - from.bytes) * 8) / elapsedMs / 1e6;
    bytes += to.bytes;
  }
  return { gbitPerSecond, bytes };
}
