/**
 * Connection load generator: 16 at a time, each opens, sends one byte, gets it back, closes, and
 * waits until the other side has closed too.
 */
import { connect } from 'node:net';
import { quantile, serveCommands } from './commands.ts';

export interface ConnectionsCommand {
  readonly port: number;
  readonly concurrency: number;
  readonly seconds: number;
}

export interface ConnectionsResult {
  readonly perSecond: number;
  readonly completed: number;
  readonly failed: number;
  /** From the call of connect to the echo. */
  readonly p50Us: number;
  readonly p99Us: number;
}

const SAMPLES_MAX = 1_000_000;
const WARM_UP_MS = 100;
const TIMEOUT_MS = 10_000;
const oneByte = Uint8Array.of(0x5a);
const buffer = new Uint8Array(64);
const samples = new Float64Array(SAMPLES_MAX);

serveCommands(run);

async function run({ port, concurrency, seconds }: ConnectionsCommand): Promise<ConnectionsResult> {
  let completed = 0;
  let failed = 0;
  const measureFrom = performance.now() + WARM_UP_MS;
  const measureUntil = measureFrom + seconds * 1000;
  const worker = async () => {
    while (performance.now() < measureUntil && completed < SAMPLES_MAX) {
      const startedAt = performance.now();
      const answeredAt = await roundTrip(port);
      const closedAt = performance.now();
      if (answeredAt === null) failed++;
      else if (closedAt >= measureFrom && closedAt <= measureUntil)
        samples[completed++] = (answeredAt - startedAt) * 1000;
    }
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
  const sorted = samples.subarray(0, completed).sort();
  return {
    perSecond: completed / seconds,
    completed,
    failed,
    p50Us: quantile(sorted, 0.5),
    p99Us: quantile(sorted, 0.99),
  };
}

/** One connection from connect to close: when it was answered, null when it was not. */
function roundTrip(port: number): Promise<number | null> {
  return new Promise((resolve) => {
    let answeredAt: number | null = null;
    const onRead = () => {
      answeredAt = performance.now();
      socket.end();
      return true;
    };
    const socket = connect({
      port,
      host: '127.0.0.1',
      noDelay: true,
      onread: { buffer, callback: onRead },
    });
    const timer = setTimeout(() => socket.destroy(), TIMEOUT_MS);
    socket.once('connect', () => socket.write(oneByte));
    socket.once('error', () => socket.destroy());
    socket.once('close', () => {
      clearTimeout(timer);
      resolve(answeredAt);
    });
  });
}
