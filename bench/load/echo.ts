/** Echo load generator: one connection with one message under way, for some seconds. */
import { connect } from 'node:net';
import { quantile, serveCommands } from './commands.ts';

export interface EchoCommand {
  readonly port: number;
  readonly bytes: number;
  readonly seconds: number;
}

/** Round-trip times in microseconds. */
export interface EchoResult {
  readonly count: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly maxUs: number;
}

const SAMPLES_MAX = 1_000_000;
const WARM_UP_NS = 100_000_000n;
const buffer = new Uint8Array(64 * 1024);
const samples = new Float64Array(SAMPLES_MAX);

serveCommands(run);

function run({ port, bytes, seconds }: EchoCommand): Promise<EchoResult> {
  const message = new Uint8Array(bytes).fill(0x5a);
  let count = 0;
  let pending = 0;
  let sentAt = 0n;
  return new Promise((resolve, reject) => {
    const measureFrom = process.hrtime.bigint() + WARM_UP_NS;
    const measureUntil = measureFrom + BigInt(Math.round(seconds * 1e9));
    const send = () => {
      pending = message.length;
      sentAt = process.hrtime.bigint();
      socket.write(message);
    };
    const onBytes = (length: number) => {
      pending -= length;
      if (pending > 0) return true;
      const now = process.hrtime.bigint();
      if (now >= measureFrom && count < SAMPLES_MAX) samples[count++] = Number(now - sentAt) / 1000;
      if (now < measureUntil) send();
      else socket.destroy();
      return true;
    };
    const socket = connect({
      port,
      host: '127.0.0.1',
      noDelay: true,
      timeout: 10_000,
      onread: { buffer, callback: onBytes },
    });
    socket.once('connect', send);
    socket.once('timeout', () => socket.destroy(new Error('no echo within 10 s')));
    socket.once('error', reject);
    socket.once('close', () => {
      if (pending > 0) reject(new Error('echo connection closed by the other side'));
      else resolve(summarize(count));
    });
  });
}

function summarize(count: number): EchoResult {
  const sorted = samples.subarray(0, count).sort();
  return {
    count,
    p50Us: quantile(sorted, 0.5),
    p99Us: quantile(sorted, 0.99),
    maxUs: sorted[count - 1] ?? Number.NaN,
  };
}
