import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { monotonicMs } from '../../support/monotonic.ts';
import { partition } from '../../support/namespaces/namespace-faults.ts';
import { limitSending } from '../../support/namespaces/namespaces.ts';
import {
  assertWhole,
  openedBy,
  sessionsOf,
  spread,
  startExchange,
  startGround,
  untilFlowing,
} from './resume-world.ts';
import { systemTest } from '../world.ts';

const BYTES = 100_000_000;
const CYCLES_MS = 60_000;
const GONE_MS = 5_000;
const BACK_MS = 2_000;
/** What fits into the seconds the path is there, and not into the first few of them. */
const LINK_MBIT_PER_SECOND = 80;
const RESUMED_MS_MAX = 1_000;

systemTest('a black hole 5 s of every 7 s, for a minute', { timeoutMs: 150_000 }, async (world) => {
  const ground = await startGround(world, {
    serve: { sendBytes: BYTES },
    settings: { fabric: { heartbeat_interval: '"1s"', heartbeat_misses: '3' } },
  });
  await limitSending(world.network.red, LINK_MBIT_PER_SECOND);
  const before = await sessionsOf(ground);
  const startMs = performance.now();
  const exchange = await startExchange(ground, { sendBytes: 0 });
  const received = async (): Promise<number> =>
    (await ground.gray.call('exchangeProgress', { handle: exchange.client })).received;
  const times: number[] = [];
  const arrived: number[] = [];
  await sleep(BACK_MS);
  while (performance.now() - startMs < CYCLES_MS) {
    const fault = await partition(world.network);
    await sleep(GONE_MS);
    await fault.heal();
    const backMs = monotonicMs();
    if ((await received()) < BYTES) {
      times.push(await untilFlowing(ground, exchange, backMs, { deadlineMs: 10_000, at: 'gray' }));
    }
    await sleep(Math.max(0, BACK_MS - (monotonicMs() - backMs)));
    arrived.push(await received());
  }
  world.note(`MB there after each cycle: ${arrived.map(megabytes).join(' ')}`);
  world.note(`bytes arrive again after ${spread(times)}`);
  assert.ok(times.length >= 4, 'the transfer was over before the path had gone four times');
  await assertWhole(ground, exchange, { up: 0, down: BYTES });
  world.note(`complete after ${Math.round((performance.now() - startMs) / 1000)} s`);
  assert.deepEqual(await sessionsOf(ground), before);
  assert.equal(await openedBy(ground.pair.gray), 1);
  assert.deepEqual(
    times.filter((ms) => ms > RESUMED_MS_MAX),
    [],
  );
});

function megabytes(bytes: number): string {
  return String(Math.round(bytes / 1e6));
}
