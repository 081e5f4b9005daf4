import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { startFaultProxy } from '../../support/faults/fault-proxy-process.ts';
import { RoutyNode } from '../../support/nodes/routy.ts';
import { ROUTY_PORT } from '../pair.ts';
import { type Ground, laneFlows, setPeer, startExchange, startGround } from './resume-world.ts';
import { systemTest } from '../world.ts';

const LANES = 4;
/** Half of the round trip. */
const LATENCY_MS = 20;
const LANE_MBIT_PER_SECOND = 100;
const RATIO_MIN = 3;
/** The window has to grow to what the path can carry. */
const SETTLE_MS = 3_000;
const MEASURE_MS = 5_000;
const ENDLESS = Number.MAX_SAFE_INTEGER;

type Way = 'up' | 'down';

systemTest('one stream over 4 lanes of a long path', { timeoutMs: 120_000 }, async (world) => {
  const { network, directory } = world;
  const proxy = await startFaultProxy(network.red, directory, 'fault-proxy', {
    target: { host: network.gray.ipv4, port: ROUTY_PORT },
  });
  world.defer(proxy.stop);
  await proxy.call('setFaults', 'both', {
    latencyMs: LATENCY_MS,
    bytesPerSecond: (LANE_MBIT_PER_SECOND * 1e6) / 8,
  });
  const ground = await startGround(world, {
    serve: { sendBytes: ENDLESS },
    peer: { addresses: [`${proxy.host}:${proxy.port}`], lanes: 1 },
  });
  const one = await measure(ground, 1);
  await ground.pair.red.stop();
  setPeer(ground.pair.homes.red, { lanes: LANES });
  ground.pair.red = new RoutyNode(ground.pair.homes.red);
  await ground.pair.untilReady();
  const many = await measure(ground, LANES);
  for (const way of ['up', 'down'] as const) {
    const ratio = many[way] / one[way];
    world.note(
      `${way}: ${mbit(one[way])} over 1 lane, ${mbit(many[way])} over ${LANES}, ${ratio.toFixed(2)} times`,
    );
    assert.ok(ratio >= RATIO_MIN, `${way}: only ${ratio.toFixed(2)} times as much`);
  }
});

/** Bytes a second of one stream, each way by itself; up is from gray to red. */
async function measure(ground: Ground, lanes: number): Promise<Record<Way, number>> {
  const rates = { up: await rateOf(ground, 'up'), down: await rateOf(ground, 'down') };
  const { gray } = await laneFlows(ground);
  assert.equal(gray.length, lanes, `the session has ${gray.length} lanes`);
  return rates;
}

async function rateOf(ground: Ground, way: Way): Promise<number> {
  const { red, gray } = ground;
  const { client, server } = await startExchange(ground, { sendBytes: way === 'up' ? ENDLESS : 0 });
  if (way === 'up') await red.call('finishExchange', { handle: server });
  const received = async (): Promise<number> =>
    way === 'up'
      ? (await red.call('exchangeProgress', { handle: server })).received
      : (await gray.call('exchangeProgress', { handle: client })).received;
  await sleep(SETTLE_MS);
  const [bytesBefore, startMs] = [await received(), performance.now()];
  await sleep(MEASURE_MS);
  const rate = ((await received()) - bytesBefore) / ((performance.now() - startMs) / 1000);
  await gray.call('resetExchange', { handle: client });
  await red.call('exchangeEnd', { handle: server });
  return rate;
}

function mbit(bytesPerSecond: number): string {
  return `${Math.round((bytesPerSecond * 8) / 1e6)} Mbit/s`;
}
