import assert from 'node:assert/strict';
import { RoutyNode, routy } from '../support/nodes/routy.ts';
import { enrolPair } from './pair.ts';
import { systemTest } from './world.ts';

/** The setting, the value here and the one over there, in the words of routy.toml. */
const NAMED = [/heartbeat_interval/, /\b5s\b/, /\b2s\b/];

systemTest('a heartbeat_interval that differs is refused', { timeoutMs: 60_000 }, async (world) => {
  const homes = await enrolPair(world, {
    red: {},
    gray: {},
    graySettings: { fabric: { heartbeat_interval: '"5s"' } },
    redSettings: { fabric: { heartbeat_interval: '"2s"' } },
  });
  const nodes = [new RoutyNode(homes.gray), new RoutyNode(homes.red)];
  for (const node of nodes) world.defer(() => node.stop());
  for (const node of nodes) {
    await world.step(`${node.home.name} says so in its log`, async () => {
      await node.untilLogged(0, NAMED);
    });
    await world.step(`${node.home.name} says so in routy status`, async () => {
      await node.untilStatus('a refused peer', ({ peers }) =>
        peers.some(
          ({ state, reason }) => state === 'refused' && NAMED.every((p) => p.test(reason!)),
        ),
      );
      const shown = await routy(node.home, ['status']);
      for (const pattern of NAMED) assert.match(shown.stdout, pattern);
    });
  }
  await world.step('no session came up', async () => {
    for (const node of nodes) {
      assert.deepEqual(
        (await node.status()).peers.filter(({ state }) => state === 'up'),
        [],
      );
    }
  });
});
