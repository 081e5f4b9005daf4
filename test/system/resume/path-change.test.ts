import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { HURRIED_TIMEOUTS } from '../../../packages/link/src/transport/tcp/dial-steps.ts';
import { monotonicMs } from '../../support/monotonic.ts';
import { loseAddress } from '../../support/namespaces/namespace-faults.ts';
import { runOk } from '../../support/process.ts';
import { ROUTY_PORT } from '../pair.ts';
import {
  finishWhole,
  type Ground,
  laneFlows,
  sessionsOf,
  startExchange,
  startGround,
  untilFlowing,
  untilLanesAgree,
} from './resume-world.ts';
import { systemTest, type World } from '../world.ts';

const SECOND = { red: '10.78.0.1', gray: '10.78.0.2' } as const;
const HEARTBEAT_MS = 500;
const MISSES = 3;
const FABRIC = { heartbeat_interval: `"${HEARTBEAT_MS}ms"`, heartbeat_misses: String(MISSES) };
/** To notice, to give the lost address up, and to come by the other one. */
const MOVED_MS_MAX = HEARTBEAT_MS * (MISSES + 1) + HURRIED_TIMEOUTS.connectMs! + 2_000;
const LOAD = { sendBytes: Number.MAX_SAFE_INTEGER, bytesPerSecond: 5_000_000 } as const;

systemTest('a lane comes back by another address', { timeoutMs: 90_000 }, async (world) => {
  await addSecondAddresses(world);
  const first = world.network.gray.ipv4;
  const ground = await startGround(world, {
    serve: LOAD,
    settings: { fabric: FABRIC },
    peer: { addresses: [`${first}:${ROUTY_PORT}`, `${SECOND.gray}:${ROUTY_PORT}`] },
  });
  const before = await sessionsOf(ground);
  const exchange = await startExchange(ground, LOAD);
  for (const lost of [first, SECOND.gray]) {
    await world.step(`${lost} is gone`, async () => {
      const fault = await loseAddress(world.network, lost);
      const cutMs = monotonicMs();
      // Bytes under way arrive after the cut: the silence begins a little later.
      const flowingMs = await untilFlowing(ground, exchange, cutMs, { deadlineMs: 30_000 });
      world.note(`bytes flow again ${Math.round(flowingMs)} ms after ${lost} is gone`);
      await sleep(HEARTBEAT_MS * (MISSES + 2));
      await assertNoLaneBy(ground, lost);
      await fault.heal();
      assert.ok(flowingMs <= MOVED_MS_MAX, `it took ${flowingMs} ms`);
    });
  }
  await finishWhole(ground, exchange);
  assert.deepEqual(await sessionsOf(ground), before);
});

async function addSecondAddresses({ network }: World): Promise<void> {
  for (const side of ['red', 'gray'] as const) {
    const { name, device } = network[side];
    await runOk('ip', ['-n', name, 'addr', 'add', `${SECOND[side]}/24`, 'dev', device]);
  }
}

async function assertNoLaneBy(ground: Ground, address: string): Promise<void> {
  const { red, gray } = await laneFlows(ground);
  const by = [...red, ...gray].filter((flow) => flow.includes(` to ${address}:`));
  assert.deepEqual(by, [], 'there is a lane by an address that is gone');
  await untilLanesAgree(ground, 10_000);
}
