import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { cpuOf } from '../../../bench/measure.ts';
import { monotonicMs } from '../../support/monotonic.ts';
import {
  type Fault,
  flowsOf,
  killFlows,
  loseFlow,
  loseTowards,
} from '../../support/namespaces/namespace-faults.ts';
import { until } from '../../support/process.ts';
import { ROUTY_PORT } from '../pair.ts';
import {
  ECHO_PORT,
  type Exchange,
  finishWhole,
  type Ground,
  laneFlows,
  openedBy,
  SIDES,
  type Side,
  sessionsOf,
  startExchange,
  startGround,
  untilFlowing,
  untilLanesAgree,
} from './resume-world.ts';
import { systemTest } from '../world.ts';

const HEARTBEAT_MS = 500;
const MISSES = 3;
const FABRIC = { heartbeat_interval: `"${HEARTBEAT_MS}ms"`, heartbeat_misses: String(MISSES) };
/** A lane without an answer is dead after this, and a second for a busy machine. */
const DEAD_MS_MAX = HEARTBEAT_MS * (MISSES + 1) + 1_000;
const RESUMED_MS_MAX = 1_000;
/** How long a partition lasts after the lanes are dead: the dialler tries and tries. */
const GONE_MS = 2_000;
/** Of one core, while nothing gets through. */
const CPU_SHARE_MAX = 0.5;
const LOAD_BYTES_PER_SECOND = 5_000_000;
const ENDLESS = Number.MAX_SAFE_INTEGER;
const IDLE_STREAMS = 3;

type Load = 'idle' | 'loaded';

/** What has to outlive a fault: idle echo streams, by their handle, and with load a busy one. */
interface Streams {
  readonly held: number;
  readonly exchange: Exchange | undefined;
}

systemTest('asymmetric partitions and half-open peers', { timeoutMs: 200_000 }, async (world) => {
  const ground = await startGround(world, {
    serve: { sendBytes: ENDLESS, bytesPerSecond: LOAD_BYTES_PER_SECOND },
    settings: { fabric: FABRIC },
  });
  for (const load of ['idle', 'loaded'] as const) {
    for (const deaf of SIDES) {
      await world.step(`${load}, ${deaf} hears nothing`, () => checkPartition(ground, load, deaf));
    }
    for (const side of SIDES) {
      await world.step(`${load}, ${side} has lost its lanes and the other does not know`, () =>
        checkHalfOpen(ground, load, side),
      );
    }
  }
});

/** One direction is gone: both ends have to find out, try, and be back when it is. */
async function checkPartition(ground: Ground, load: Load, deaf: Side): Promise<void> {
  const { world } = ground;
  await underLoad(ground, load, async (streams) => {
    const before = await laneFlows(ground);
    const fault = await loseTowards(world.network[deaf]);
    const deadMs = await untilGone(ground, before.red);
    world.note(`declared dead after ${describe(deadMs)}`);
    const cpuBefore = cpuSeconds(ground);
    await sleep(GONE_MS);
    const share = (cpuSeconds(ground) - cpuBefore) / (GONE_MS / 1000);
    await fault.heal();
    await assertBack(ground, streams, monotonicMs(), RESUMED_MS_MAX);
    for (const side of SIDES) assert.ok(deadMs[side] <= DEAD_MS_MAX, `${side}: ${deadMs[side]} ms`);
    assert.ok(share <= CPU_SHARE_MAX, `both nodes together used ${share.toFixed(2)} of a core`);
  });
}

/**
 * The lanes' sockets at one end are gone and no word of it gets to the other. The dialler's new
 * lanes take the session over while the listener still believes in the old ones; when it is the
 * listener that lost them, the dialler has to find out by itself.
 */
async function checkHalfOpen(ground: Ground, load: Load, side: Side): Promise<void> {
  const { world } = ground;
  const faults: Fault[] = [];
  await underLoad(ground, load, async (streams) => {
    const before = await laneFlows(ground);
    for (const flow of await flowsOf(world.network[side], ROUTY_PORT)) {
      faults.push(await loseFlow(world.network, flow));
    }
    assert.ok((await killFlows(world.network[side], ROUTY_PORT)) > 0, 'there was no lane');
    const cutMs = monotonicMs();
    const boundMs = side === 'red' ? RESUMED_MS_MAX : DEAD_MS_MAX + RESUMED_MS_MAX;
    await assertBack(ground, streams, cutMs, boundMs);
    const deadMs = await untilGone(ground, before.red);
    for (const at of SIDES) assert.ok(deadMs[at] <= DEAD_MS_MAX, `${at}: ${deadMs[at]} ms`);
  });
  for (const fault of faults) await fault.heal();
}

/** Runs `act` with streams that have to outlive it; `loaded` has one that is busy both ways. */
async function underLoad(
  ground: Ground,
  load: Load,
  act: (streams: Streams) => Promise<void>,
): Promise<void> {
  const { gray, pair } = ground;
  const sessions = await sessionsOf(ground);
  const opened = await openedBy(pair.gray);
  const held = await gray.call('hold', { host: '127.0.0.1', port: ECHO_PORT, count: IDLE_STREAMS });
  const exchange = load === 'idle' ? undefined : await startLoad(ground);
  await act({ held, exchange });
  const answers = await gray.call('pokeHeld', { handle: held });
  assert.equal(answers, IDLE_STREAMS, 'an idle stream was lost');
  if (exchange !== undefined) await finishWhole(ground, exchange);
  await gray.call('releaseHeld', { handle: held });
  assert.deepEqual(await sessionsOf(ground), sessions, 'it is another session');
  assert.equal(await openedBy(pair.gray), opened + IDLE_STREAMS + (exchange === undefined ? 0 : 1));
}

async function startLoad(ground: Ground): Promise<Exchange> {
  const exchange = await startExchange(ground, {
    sendBytes: ENDLESS,
    bytesPerSecond: LOAD_BYTES_PER_SECOND,
  });
  await untilFlowing(ground, exchange, monotonicMs(), { deadlineMs: 5_000 });
  return exchange;
}

/** Bytes flow, and both nodes have the same lanes and no other. */
async function assertBack(
  ground: Ground,
  { held, exchange }: Streams,
  fromMs: number,
  boundMs: number,
): Promise<void> {
  const { world } = ground;
  const deadlineMs = boundMs + 10_000;
  const flowingMs =
    exchange === undefined
      ? await untilEchoed(ground, held, fromMs)
      : await untilFlowing(ground, exchange, fromMs, { deadlineMs });
  world.note(`bytes flow again after ${Math.round(flowingMs)} ms`);
  const lanes = await untilLanesAgree(ground, DEAD_MS_MAX + 10_000);
  const agreedMs = monotonicMs() - fromMs;
  world.note(`the same ${lanes} lanes on both ends after ${Math.round(agreedMs)} ms`);
  await sessionsOf(ground);
  assert.ok(flowingMs <= boundMs, `bytes flowed again after ${flowingMs} ms`);
  assert.ok(agreedMs <= boundMs + DEAD_MS_MAX, `the nodes agreed after ${agreedMs} ms`);
}

/** Without load: until the idle streams are answered. */
async function untilEchoed(ground: Ground, held: number, fromMs: number): Promise<number> {
  const answers = await ground.gray.call('pokeHeld', { handle: held });
  assert.equal(answers, IDLE_STREAMS, 'an idle stream was not answered');
  return monotonicMs() - fromMs;
}

/** After how many ms each node has closed every one of these lanes. */
async function untilGone(ground: Ground, lanes: readonly string[]): Promise<Record<Side, number>> {
  assert.ok(lanes.length > 0, 'there was no lane');
  const startMs = performance.now();
  const gone: Partial<Record<Side, number>> = {};
  await until(
    'both nodes have closed the dead lanes',
    async () => {
      const now = await laneFlows(ground);
      for (const side of SIDES) {
        if (gone[side] !== undefined || now[side].some((lane) => lanes.includes(lane))) continue;
        gone[side] = Math.round(performance.now() - startMs);
      }
      return gone.red !== undefined && gone.gray !== undefined;
    },
    { deadlineMs: DEAD_MS_MAX + 10_000, intervalMs: 50 },
  );
  return { red: gone.red!, gray: gone.gray! };
}

function cpuSeconds({ pair }: Ground): number {
  const pids = { red: [pair.red.daemon.pid], gray: [pair.gray.daemon.pid] };
  const { red, gray } = cpuOf(pids);
  return red + gray;
}

function describe(times: Record<Side, number>): string {
  return `${times.red} ms in red, ${times.gray} ms in gray`;
}
