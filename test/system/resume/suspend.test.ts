import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { monotonicMs } from '../../support/monotonic.ts';
import { until } from '../../support/process.ts';
import {
  ECHO_PORT,
  type Exchange,
  finishWhole,
  type Ground,
  SIDES,
  type Side,
  sessionsOf,
  startExchange,
  startGround,
  untilFlowing,
  untilLanesAgree,
} from './resume-world.ts';
import { systemTest, type World } from '../world.ts';

/** How long each side keeps streams for a silent peer: the listener a quarter longer. */
const KEPT_MS: Readonly<Record<Side, number>> = { red: 60_000, gray: 75_000 };
const FABRIC = { heartbeat_interval: '"1s"', heartbeat_misses: '3', resume_time: '"60s"' };
const UNDER_MS = 30_000;
const OVER_MS = 90_000;
/** From SIGCONT to the first byte: what piled up meanwhile has to be worked off first. */
const RESUMED_MS_MAX = 5_000;
/** It counts from the last byte that was heard, which is up to a heartbeat ago … */
const RESET_EARLY_MS_MAX = 1_000;
/** … and a busy machine is late. */
const RESET_LATE_MS_MAX = 4_000;
const LOAD_BYTES_PER_SECOND = 1_000_000;
const ENDLESS = Number.MAX_SAFE_INTEGER;

/** All at once: nearly all of the time each of them waits. */
describe('a node that is suspended', { concurrency: true }, () => {
  for (const side of SIDES) {
    systemTest(`${side} for 30 s: streams go on`, { timeoutMs: 150_000 }, (world) =>
      suspendBriefly(world, side),
    );
    systemTest(`${side} for 90 s: streams are reset`, { timeoutMs: 240_000 }, (world) =>
      suspendLong(world, side),
    );
  }
});

async function suspendBriefly(world: World, side: Side): Promise<void> {
  const { ground, exchange } = await prepare(world);
  const before = await sessionsOf(ground);
  await suspend(ground, side, UNDER_MS);
  const flowingMs = await untilFlowing(ground, exchange, monotonicMs(), { deadlineMs: 30_000 });
  world.note(`${side}: bytes flow again ${Math.round(flowingMs)} ms after it goes on`);
  await finishWhole(ground, exchange);
  assert.deepEqual(await sessionsOf(ground), before);
  await untilLanesAgree(ground, 10_000);
  assert.ok(flowingMs <= RESUMED_MS_MAX, `bytes flowed again after ${flowingMs} ms`);
}

async function suspendLong(world: World, side: Side): Promise<void> {
  const { ground, exchange } = await prepare(world);
  const startMs = performance.now();
  const suspended = suspend(ground, side, OVER_MS);
  // The end beside the node that goes on hears of it while the other is still suspended.
  const [tools, handle] =
    side === 'red' ? [ground.gray, exchange.client] : [ground.red, exchange.server];
  const live = await tools.call('exchangeEnd', { handle });
  const resetMs = performance.now() - startMs;
  const keptMs = KEPT_MS[side === 'red' ? 'gray' : 'red'];
  world.note(`${side} suspended: the other side resets after ${Math.round(resetMs)} ms`);
  await suspended;
  const stale =
    side === 'red'
      ? await ground.red.call('exchangeEnd', { handle: exchange.server })
      : await ground.gray.call('exchangeEnd', { handle: exchange.client });
  for (const end of [live, stale]) {
    assert.equal(end.outcome, 'ECONNRESET');
    assert.ok(end.intact, 'a byte arrived that does not belong there');
  }
  assert.ok(resetMs >= keptMs - RESET_EARLY_MS_MAX, `reset after only ${resetMs} ms`);
  assert.ok(resetMs <= keptMs + RESET_LATE_MS_MAX, `reset only after ${resetMs} ms`);
  await until('a new stream is answered', async () => {
    const probe = { host: '127.0.0.1', port: ECHO_PORT, send: true };
    return (await ground.gray.call('probe', probe)).outcome === 'data';
  });
  await untilLanesAgree(ground, 10_000);
  await sessionsOf(ground);
  await finishWhole(ground, await load(ground));
}

async function prepare(world: World): Promise<{ ground: Ground; exchange: Exchange }> {
  const ground = await startGround(world, {
    serve: { sendBytes: ENDLESS, bytesPerSecond: LOAD_BYTES_PER_SECOND },
    settings: { fabric: FABRIC },
  });
  return { ground, exchange: await load(ground) };
}

async function load(ground: Ground): Promise<Exchange> {
  const plan = { sendBytes: ENDLESS, bytesPerSecond: LOAD_BYTES_PER_SECOND };
  const exchange = await startExchange(ground, plan);
  await untilFlowing(ground, exchange, monotonicMs(), { deadlineMs: 10_000 });
  return exchange;
}

async function suspend({ pair }: Ground, side: Side, ms: number): Promise<void> {
  pair[side].daemon.signal('SIGSTOP');
  try {
    await sleep(ms);
  } finally {
    pair[side].daemon.signal('SIGCONT');
  }
}
