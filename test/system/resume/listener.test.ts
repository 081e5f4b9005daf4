import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { monotonicMs } from '../../support/monotonic.ts';
import { killFlows } from '../../support/namespaces/namespace-faults.ts';
import { canConnect } from '../../support/namespaces/namespaces.ts';
import { routyOk, setToml } from '../../support/nodes/routy.ts';
import { ROUTY_PORT } from '../pair.ts';
import {
  finishWhole,
  laneFlows,
  sessionsOf,
  startExchange,
  startGround,
  untilFlowing,
} from './resume-world.ts';
import { systemTest } from '../world.ts';

const NEW_PORT = 7444;
const RESUMED_MS_MAX = 1_000;
const LOAD = { sendBytes: Number.MAX_SAFE_INTEGER, bytesPerSecond: 5_000_000 } as const;

systemTest('the listener moves under a stream', { timeoutMs: 60_000 }, async (world) => {
  const { gray } = world.network;
  const ground = await startGround(world, {
    serve: LOAD,
    peer: { addresses: [`${gray.ipv4}:${ROUTY_PORT}`, `${gray.ipv4}:${NEW_PORT}`] },
  });
  const { pair } = ground;
  const before = await sessionsOf(ground);
  const exchange = await startExchange(ground, LOAD);
  await world.step('routy reload opens the new listener and closes the old one', async () => {
    setToml(pair.homes.gray, { listen: { address: `"0.0.0.0:${NEW_PORT}"` } });
    world.note((await routyOk(pair.homes.gray, ['reload'])).trim());
    await pair.gray.untilStatus('listening at the new port', ({ listening }) =>
      Boolean(listening?.address.endsWith(`:${NEW_PORT}`) && listening.error === null),
    );
    assert.equal(await canConnect(world.network.red, gray.ipv4, ROUTY_PORT), false);
  });
  await world.step('the stream goes on over a lane to the new one', async () => {
    await sleep(200);
    const fromMs = monotonicMs();
    // Lanes of the old listener may live on; once cut they have to come back by the new one.
    await killFlows(gray, ROUTY_PORT);
    const flowingMs = await untilFlowing(ground, exchange, fromMs, { deadlineMs: 10_000 });
    world.note(`bytes flow again after ${Math.round(flowingMs)} ms`);
    assert.ok((await laneFlows(ground, NEW_PORT)).gray.length > 0, 'no lane to the new listener');
    assert.ok(flowingMs <= RESUMED_MS_MAX, `bytes flowed again after ${flowingMs} ms`);
  });
  await finishWhole(ground, exchange);
  assert.deepEqual(await sessionsOf(ground), before);
});
