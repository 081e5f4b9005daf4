import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import type { StreamCode } from '@routy/proto/wire';
import type { ByteReceiver } from '../streams/byte-stream.ts';

/** What the checks do with one end of a stream, in whatever way the adapter offers it. */
export interface AdapterEnd {
  /** What the stream is opened or accepted with. */
  readonly receiver: ByteReceiver;
  /** Done when the next may follow; fails when the stream was reset. */
  write(bytes: Uint8Array): Promise<void>;
  /** Half-closes. */
  end(): void;
  /** The next bytes; undefined at the end; fails when the stream was reset. */
  read(): Promise<Uint8Array | undefined>;
  /** Ends both directions with the code. */
  reset(code: StreamCode): void;
}

/** What the checks need of the adapter under test. */
export interface AdapterChecksOptions {
  /** A fresh end that is not joined to a stream yet. */
  make(): AdapterEnd | Promise<AdapterEnd>;
  /** Opens a stream through a session, from one receiver to the other. */
  join(opener: ByteReceiver, acceptor: ByteReceiver): Promise<void>;
  /** Most bytes that are taken of a writer whose reader does not read. */
  readonly pendingBytesMax: number;
  /** The adapter passes on the code of a reset, and does not only fail. */
  readonly hasCodes: boolean;
}

/** One check of {@link byteStreamChecks}; it fails by rejecting. */
export interface AdapterCheck {
  /** What has to hold, as the name of a test. */
  readonly name: string;
  /** Rejects when it does not hold. */
  run(): Promise<void>;
}

const CHUNK_BYTES = 48 * 1024 + 1;
const BULK_BYTES = 4 * 1024 * 1024;
const STUCK_MS = 300;

interface Ends {
  readonly opener: AdapterEnd;
  readonly acceptor: AdapterEnd;
}

type Check = (ends: Ends, options: AdapterChecksOptions) => Promise<void>;

const CHECKS: Readonly<Record<string, Check>> = {
  'bytes come in order, both ways at once, and each way ends by itself': async (ends) => {
    const { opener, acceptor } = ends;
    await Promise.all([
      writeAll(opener, BULK_BYTES, 1),
      writeAll(acceptor, BULK_BYTES, 2),
      readAll(acceptor, BULK_BYTES, 1),
      readAll(opener, BULK_BYTES, 2),
    ]);
  },
  'one way goes on when the other has ended': async ({ opener, acceptor }) => {
    opener.end();
    equal(await acceptor.read(), undefined);
    await Promise.all([writeAll(acceptor, BULK_BYTES, 3), readAll(opener, BULK_BYTES, 3)]);
  },
  'a reader that stops stops the writer, and nothing is lost': async (ends, options) => {
    const { opener, acceptor } = ends;
    const bytesMax = options.pendingBytesMax;
    let written = 0;
    let isStuck = false;
    const writing = (async () => {
      for (; !isStuck && written <= bytesMax; written += CHUNK_BYTES) {
        await opener.write(chunkAt(written, CHUNK_BYTES, 4));
      }
      opener.end();
    })();
    for (let before = -1; before < written; ) {
      before = written;
      await sleep(STUCK_MS);
    }
    isStuck = true;
    ok(written <= bytesMax, `${written} bytes were taken of a writer that nobody reads`);
    let read = 0;
    for (let chunk = await acceptor.read(); chunk; chunk = await acceptor.read()) {
      expectChunk(chunk, read, 4);
      read += chunk.length;
    }
    await writing;
    equal(read, written);
    acceptor.end();
    equal(await opener.read(), undefined);
  },
  'a reset by the opener ends both directions at the acceptor': async (ends, options) => {
    await resets(ends.opener, ends.acceptor, 'target-refused', options);
  },
  'a reset by the acceptor ends both directions at the opener': async (ends, options) => {
    await resets(ends.acceptor, ends.opener, 'overload', options);
  },
  'an end without a byte is an end': async ({ opener, acceptor }) => {
    opener.end();
    acceptor.end();
    deepEqual([await acceptor.read(), await opener.read()], [undefined, undefined]);
  },
};

/**
 * What every adapter between a stream and something else has to do, checked over real sessions: each
 * check is to be run by the caller's test runner.
 */
export function byteStreamChecks(options: AdapterChecksOptions): AdapterCheck[] {
  const joined = Object.entries(CHECKS).map(([name, check]) => ({
    name,
    run: async () => {
      const ends = { opener: await options.make(), acceptor: await options.make() };
      await options.join(ends.opener.receiver, ends.acceptor.receiver);
      await check(ends, options);
    },
  }));
  return [...joined, earlyCheck(options)];
}

function earlyCheck(options: AdapterChecksOptions): AdapterCheck {
  return {
    name: 'what is written before there is a stream is sent when there is one',
    run: async () => {
      const ends = { opener: await options.make(), acceptor: await options.make() };
      const writing = writeAll(ends.opener, 3 * CHUNK_BYTES, 5);
      ok(ends.opener.receiver.untouched, 'nothing is taken before there is a stream');
      await options.join(ends.opener.receiver, ends.acceptor.receiver);
      await Promise.all([writing, readAll(ends.acceptor, 3 * CHUNK_BYTES, 5)]);
      ends.acceptor.end();
      equal(await ends.opener.read(), undefined);
    },
  };
}

async function resets(
  from: AdapterEnd,
  to: AdapterEnd,
  code: StreamCode,
  { hasCodes }: AdapterChecksOptions,
): Promise<void> {
  await from.write(chunkAt(0, 100, 6));
  expectChunk((await to.read())!, 0, 6);
  const failing = rejects(to.read(), (error: { code?: string }) => {
    if (hasCodes) equal(error.code, code);
    return true;
  });
  from.reset(code);
  await failing;
  await rejects(to.write(chunkAt(0, 100, 6)));
}

async function writeAll(end: AdapterEnd, bytes: number, seed: number): Promise<void> {
  for (let at = 0; at < bytes; at += CHUNK_BYTES) {
    await end.write(chunkAt(at, Math.min(CHUNK_BYTES, bytes - at), seed));
  }
  end.end();
}

async function readAll(end: AdapterEnd, bytes: number, seed: number): Promise<void> {
  let read = 0;
  for (let chunk = await end.read(); chunk; chunk = await end.read()) {
    expectChunk(chunk, read, seed);
    read += chunk.length;
  }
  equal(read, bytes);
}

/** Each byte says where it stands and whose it is. */
function byteAt(at: number, seed: number): number {
  return (at * 31 + (at >>> 8) * 7 + (at >>> 16) + seed) & 0xff;
}

function chunkAt(at: number, bytes: number, seed: number): Uint8Array {
  const chunk = new Uint8Array(bytes);
  for (let n = 0; n < bytes; n++) chunk[n] = byteAt(at + n, seed);
  return chunk;
}

function expectChunk(chunk: Uint8Array, at: number, seed: number): void {
  const wrong = chunk.findIndex((byte, n) => byte !== byteAt(at + n, seed));
  equal(wrong, -1, `byte ${at + wrong} is not the one that was written`);
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
