/** The loads on one connection, the same for every library. */
import { quantile } from '../load/commands.ts';
import type { LinkClient } from './library.ts';

/** One stream with as many messages as it takes. */
export interface MessagesLoad {
  readonly kind: 'messages';
  readonly bytes: number;
  readonly seconds: number;
}

/** So many requests under way all the time. */
export interface RequestsLoad {
  readonly kind: 'requests';
  readonly bytes: number;
  readonly inFlight: number;
  readonly seconds: number;
}

/** Streams that are opened, carry one message there and back, and are closed, so many at a time. */
export interface StreamsLoad {
  readonly kind: 'streams';
  readonly inFlight: number;
  readonly seconds: number;
}

export type Load = MessagesLoad | RequestsLoad | StreamsLoad;

export interface LoadResult {
  /** Messages that the server got, requests that were answered, streams that were closed. */
  readonly count: number;
  /** Of messages. */
  readonly bytes: number;
  /** From the first until the last was confirmed. */
  readonly seconds: number;
  /** Of requests and streams, in microseconds. */
  readonly p50Us: number;
  readonly p99Us: number;
}

/** Of messages that are sent without a pause, the clock is read after so many. */
const CLOCK_EVERY = 32;
const SAMPLES_MAX = 1_000_000;
const samples = new Float64Array(SAMPLES_MAX);

export function runLoad(client: LinkClient, load: Load): Promise<LoadResult> {
  switch (load.kind) {
    case 'messages':
      return messages(client, load);
    case 'requests': {
      const body = Buffer.alloc(load.bytes, 0x5a);
      return repeat(load, async () => {
        const answer = await client.request(body);
        if (answer.length !== body.length) throw new Error(`an answer of ${answer.length} bytes`);
      });
    }
    case 'streams': {
      const message = Buffer.alloc(1, 0x5a);
      return repeat(load, () => client.openStream(message));
    }
  }
}

async function messages(client: LinkClient, load: MessagesLoad): Promise<LoadResult> {
  const message = Buffer.alloc(load.bytes, 0x5a);
  const sink = await client.openMessages();
  const startMs = performance.now();
  const untilMs = startMs + load.seconds * 1000;
  let count = 0;
  do {
    for (let i = 0; i < CLOCK_EVERY; i++) {
      const wait = sink.send(message);
      if (wait !== undefined) await wait;
    }
    count += CLOCK_EVERY;
  } while (performance.now() < untilMs);
  const received = await sink.finish();
  const seconds = (performance.now() - startMs) / 1000;
  const bytes = count * load.bytes;
  if (received.messages !== count || received.bytes !== bytes) {
    throw new Error(`${count} messages were sent and ${received.messages} have come`);
  }
  return { count, bytes, seconds, p50Us: Number.NaN, p99Us: Number.NaN };
}

/** Does one thing after the other in each of `inFlight` rows, until the time is over. */
async function repeat(
  { inFlight, seconds }: { readonly inFlight: number; readonly seconds: number },
  once: () => Promise<void>,
): Promise<LoadResult> {
  const startMs = performance.now();
  const untilMs = startMs + seconds * 1000;
  let count = 0;
  const row = async () => {
    for (let sinceMs = performance.now(); sinceMs < untilMs; ) {
      await once();
      const nowMs = performance.now();
      if (count < SAMPLES_MAX) samples[count] = (nowMs - sinceMs) * 1000;
      count++;
      sinceMs = nowMs;
    }
  };
  await Promise.all(Array.from({ length: inFlight }, row));
  const tookMs = performance.now() - startMs;
  const sorted = samples.subarray(0, Math.min(count, SAMPLES_MAX)).sort();
  const [p50Us, p99Us] = [quantile(sorted, 0.5), quantile(sorted, 0.99)];
  return { count, bytes: 0, seconds: tookMs / 1000, p50Us, p99Us };
}
