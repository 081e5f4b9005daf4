import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { monotonicMs } from '../../support/monotonic.ts';
import {
  flowsOf,
  killFlows,
  partition,
  rejectWithReset,
} from '../../support/namespaces/namespace-faults.ts';
import { limitSending } from '../../support/namespaces/namespaces.ts';
import { ROUTY_PORT } from '../pair.ts';
import {
  assertWhole,
  type Ground,
  openedBy,
  sessionsOf,
  spread,
  startExchange,
  startGround,
  untilFlowing,
} from './resume-world.ts';
import { systemTest } from '../world.ts';

const BYTES = 1_000_000_000;
const LINK_MBIT_PER_SECOND = 800;
/** Until the last cut: slow enough that all of them happen while bytes flow. */
const PACE_BYTES_PER_SECOND = 8_000_000;
const RESUMED_MS_MAX = 1_000;
/** Between two cuts, in ms. */
const CALM_MS = [300, 700] as const;
/** How long a firewall answers with resets, in ms. */
const RESET_MS = [50, 400] as const;
const HEARTBEAT = { heartbeat_interval: '"500ms"', heartbeat_misses: '2' };
/** Longer than it takes to notice. */
const STALL_MS = 1_700;

const CUTS = { kill: 15, killOne: 10, reset: 17, stall: 8 } as const;
type Cut = keyof typeof CUTS;

systemTest('1 GB each way over 50 cuts', { timeoutMs: 290_000 }, async (world) => {
  const ground = await startGround(world, {
    serve: { sendBytes: BYTES, bytesPerSecond: PACE_BYTES_PER_SECOND },
    settings: { fabric: HEARTBEAT },
  });
  await limitSending(world.network.red, LINK_MBIT_PER_SECOND);
  await limitSending(world.network.gray, LINK_MBIT_PER_SECOND);
  const before = await sessionsOf(ground);
  assert.equal(before.red, before.gray);
  const startMs = performance.now();
  const exchange = await startExchange(ground, {
    sendBytes: BYTES,
    bytesPerSecond: PACE_BYTES_PER_SECOND,
  });
  const taken: Record<Cut, number[]> = { kill: [], killOne: [], reset: [], stall: [] };
  for (const cut of shuffled()) {
    await sleep(randomInt(...CALM_MS));
    const backMs = await CUT[cut](ground);
    taken[cut].push(await untilFlowing(ground, exchange, backMs, { deadlineMs: 10_000 }));
  }
  const { outcome, received } = await ground.gray.call('exchangeProgress', {
    handle: exchange.client,
  });
  assert.equal(outcome, null, 'the transfer was over before the last cut');
  const cutsMs = performance.now() - startMs;
  world.note(`${received} bytes had arrived at the last cut, ${Math.round(cutsMs / 1000)} s on`);
  for (const [cut, times] of Object.entries(taken)) {
    world.note(`${times.length} times ${cut}: bytes flow again after ${spread(times)}`);
  }
  await ground.gray.call('hurryExchange', { handle: exchange.client });
  await ground.red.call('hurryExchange', { handle: exchange.server });
  await assertWhole(ground, exchange, { up: BYTES, down: BYTES });
  world.note(`1 GB each way in ${Math.round((performance.now() - startMs) / 1000)} s`);
  assert.deepEqual(await sessionsOf(ground), before);
  assert.equal(await openedBy(ground.pair.gray), 1);
  const late = Object.values(taken)
    .flat()
    .filter((ms) => ms > RESUMED_MS_MAX);
  assert.deepEqual(late, []);
});

/** Does the cut; gives when the path was back, in ms of the monotonic clock. */
const CUT: Readonly<Record<Cut, (ground: Ground) => Promise<number>>> = {
  kill: async ({ world }) => {
    const side = randomInt(2) === 0 ? world.network.red : world.network.gray;
    const backMs = monotonicMs();
    assert.ok((await killFlows(side, ROUTY_PORT)) > 0, 'there was no lane to cut');
    return backMs;
  },
  /** The stream goes on over the other lane, if there is one at the moment. */
  killOne: async ({ world }) => {
    const side = randomInt(2) === 0 ? world.network.red : world.network.gray;
    const lanes = await flowsOf(side, ROUTY_PORT);
    assert.ok(lanes.length > 0, 'there was no lane to cut');
    const backMs = monotonicMs();
    await killFlows(side, ROUTY_PORT, lanes[randomInt(lanes.length)]);
    return backMs;
  },
  reset: async ({ world }) => {
    const fault = await rejectWithReset(world.network, ROUTY_PORT);
    await sleep(randomInt(...RESET_MS));
    await fault.heal();
    return monotonicMs();
  },
  stall: async ({ world }) => {
    const fault = await partition(world.network);
    await sleep(STALL_MS);
    await fault.heal();
    return monotonicMs();
  },
};

/** Every cut as often as it is to be, in any order. */
function shuffled(): Cut[] {
  const cuts = Object.entries(CUTS).flatMap(([cut, count]) =>
    Array.from({ length: count }, () => cut as Cut),
  );
  for (let last = cuts.length - 1; last > 0; last -= 1) {
    const other = randomInt(last + 1);
    [cuts[last], cuts[other]] = [cuts[other]!, cuts[last]!];
  }
  return cuts;
}
