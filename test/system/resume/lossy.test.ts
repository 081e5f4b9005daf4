import assert from 'node:assert/strict';
import { startFaultProxy } from '../../support/faults/fault-proxy-process.ts';
import { loseAtRandom } from '../../support/namespaces/namespace-faults.ts';
import { ROUTY_PORT } from '../pair.ts';
import {
  assertWhole,
  type Ground,
  openedBy,
  sessionsOf,
  startExchange,
  startGround,
} from './resume-world.ts';
import { systemTest } from '../world.ts';

const LOSS_PERCENT = 20;
const LOSSY_BYTES = 10_000_000;
const SLICED_BYTES = 200_000;

systemTest('20% of all packets are lost', { timeoutMs: 150_000 }, async (world) => {
  const ground = await startGround(world, { serve: { sendBytes: LOSSY_BYTES } });
  const fault = await loseAtRandom(world.network, LOSS_PERCENT);
  const ms = await exchangeWhole(ground, LOSSY_BYTES);
  world.note(`${LOSSY_BYTES} bytes each way in ${Math.round(ms)} ms`);
  await fault.heal();
});

systemTest('every write is cut to one byte', { timeoutMs: 150_000 }, async (world) => {
  const { network, directory } = world;
  const proxy = await startFaultProxy(network.red, directory, 'fault-proxy', {
    target: { host: network.gray.ipv4, port: ROUTY_PORT },
  });
  world.defer(proxy.stop);
  await proxy.call('setFaults', 'both', { sliceBytes: 1 });
  const ground = await startGround(world, {
    serve: { sendBytes: SLICED_BYTES },
    peer: { addresses: [`${proxy.host}:${proxy.port}`] },
  });
  const ms = await exchangeWhole(ground, SLICED_BYTES);
  const { deliveredBytes, connections } = await proxy.call('counters');
  world.note(
    `${SLICED_BYTES} bytes each way in ${Math.round(ms)} ms, as ${deliveredBytes.up + deliveredBytes.down} writes on ${connections} connections`,
  );
  assert.ok(deliveredBytes.up > SLICED_BYTES && deliveredBytes.down > SLICED_BYTES);
});

/** One exchange through the session there is; gives how long it took. */
async function exchangeWhole(ground: Ground, bytes: number): Promise<number> {
  const before = await sessionsOf(ground);
  const startMs = performance.now();
  const exchange = await startExchange(ground, { sendBytes: bytes });
  await assertWhole(ground, exchange, { up: bytes, down: bytes });
  const ms = performance.now() - startMs;
  assert.deepEqual(await sessionsOf(ground), before);
  assert.equal(await openedBy(ground.pair.gray), 1);
  return ms;
}
