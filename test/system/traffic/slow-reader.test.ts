import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { limitSending } from '../../support/namespaces/namespaces.ts';
import { startTcpTools } from '../../support/tcp-tools/tcp-tools.ts';
import { type RunningPair, startPair } from '../pair.ts';
import { systemTest } from '../world.ts';

const FORWARD_PORT = 9000;
const ROUNDS = 12;
const MEASURE_MS = 300;
/** Between a change and the next measurement: the first burst of a new stream, what a lost one leaves. */
const SETTLE_MS = 500;
const LINK_MBIT_PER_SECOND = 400;
const SLOW_BYTES_PER_SECOND = 100_000;
const SESSION_BUFFER_BYTES = 16 * 1024 * 1024;

/**
 * The link is slower than the machine, as links are, so that the rate does not follow what else the
 * machine does. What is compared is measured in turn nevertheless: the rate of a fast reader alone,
 * then beside a slow one, round after round.
 */
systemTest('a slow reader pauses only its own stream', { timeoutMs: 120_000 }, async (world) => {
  const red = startTcpTools(world.network.red, world.directory, 'tools-red');
  world.defer(red.stop);
  const gray = startTcpTools(world.network.gray, world.directory, 'tools-gray');
  world.defer(gray.stop);
  const port = await red.call('serve', { mode: 'source' });
  const pair = await startPair(world, {
    red: { services: { source: `127.0.0.1:${port}` } },
    gray: { forwards: { [`127.0.0.1:${FORWARD_PORT}`]: 'red/source' } },
    settings: { limits: { session_buffer: '"16MiB"', process_buffer: '"16MiB"' } },
  });
  await limitSending(world.network.red, LINK_MBIT_PER_SECOND);
  const watch = watchBuffers(pair);
  world.defer(() => watch.stop());

  const where = { host: '127.0.0.1', port: FORWARD_PORT };
  const fast = await gray.call('openReader', where);
  const rate = (): Promise<number> => gray.call('readerRate', { handle: fast, ms: MEASURE_MS });
  const ratios: number[] = [];
  let slowBytes = 0;
  await rate();
  let alone = await rate();
  world.note(`alone: ${Math.round((alone * 8) / 1e6)} Mbit/s of ${LINK_MBIT_PER_SECOND}`);
  for (let round = 0; round < ROUNDS; round += 1) {
    const slow = await gray.call('openReader', { ...where, bytesPerSecond: SLOW_BYTES_PER_SECOND });
    await sleep(SETTLE_MS);
    const beside = await rate();
    slowBytes += await gray.call('readerBytes', { handle: slow });
    await gray.call('closeReader', { handle: slow });
    await sleep(SETTLE_MS);
    const aloneAgain = await rate();
    ratios.push(beside / ((alone + aloneAgain) / 2));
    alone = aloneAgain;
  }
  await watch.stop();
  const median = ratios.toSorted((left, right) => left - right)[Math.floor(ROUNDS / 2)]!;
  world.note(`rate beside a slow reader: ${ratios.map((ratio) => ratio.toFixed(2)).join(' ')}`);
  world.note(`most bytes buffered: ${watch.highest.red} in red, ${watch.highest.gray} in gray`);
  assert.ok(slowBytes > 0, 'the slow reader got nothing');
  assert.ok(median >= 0.9, `beside a slow reader the rate fell to ${median.toFixed(2)}`);
  assert.ok(watch.samples > 20, 'the buffers were not watched');
  for (const side of ['red', 'gray'] as const) {
    assert.ok(watch.highest[side] > 0, `${side} never reported a buffered byte`);
    assert.ok(watch.highest[side] <= SESSION_BUFFER_BYTES, `${side} went over its budget`);
  }
});

interface Watch {
  readonly highest: { red: number; gray: number };
  samples: number;
  /** Rejects when a look failed. */
  stop(): Promise<void>;
}

/** Looks at the buffers of both nodes until stopped. */
function watchBuffers(pair: RunningPair): Watch {
  const highest = { red: 0, gray: 0 };
  let stopped = false;
  const look = async (side: 'red' | 'gray'): Promise<void> => {
    const { buffers } = await pair[side].status();
    assert.equal(buffers.budgetBytes, SESSION_BUFFER_BYTES);
    highest[side] = Math.max(highest[side], buffers.usedBytes);
    watch.samples += 1;
  };
  const lookOn = async (): Promise<void> => {
    while (!stopped) {
      await Promise.all([look('red'), look('gray')]);
      await sleep(100);
    }
  };
  const ended = lookOn();
  // Reported by `stop`; until then nobody waits for it.
  ended.catch(() => {});
  const watch: Watch = {
    highest,
    samples: 0,
    stop: () => {
      stopped = true;
      return ended;
    },
  };
  return watch;
}
