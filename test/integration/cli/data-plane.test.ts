import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { loadProcessLibrary } from '../../../packages/linux/src/native/process-library.ts';
import type { NodeStatus } from '../../../packages/routy/src/status/status.ts';
import { planeMissing } from '../../support/linux/native-plane.ts';
import { type FakeMachine, onMachine } from '../../support/nodes/fake-machine.ts';
import { echoed, type Pair, startPair } from './cli-pair.ts';
import { cli, cliJson, cliOk, Running, untilStatus } from '../../support/nodes/cli-support.ts';

/** What is said where the native plane cannot be had. */
const REASONS: Readonly<Record<FakeMachine, string>> = {
  'no-koffi': 'koffi is not installed: npm leaves it out with --omit=optional',
  'broken-koffi': 'koffi does not load: koffi.node: invalid ELF header',
  'no-accept4': "Cannot find function 'accept4' in shared library",
  'no-epoll': 'epoll_create1 EPERM',
  darwin: 'not on darwin',
  riscv64: 'not on riscv64',
};

/** Those that have a koffi that works, and something else is missing. */
const WITH_KOFFI: readonly string[] = ['no-accept4', 'no-epoll'];
const hasKoffi = 'library' in loadProcessLibrary();

test('which data plane a node is on, and why', { timeout: 120_000 }, async (t) => {
  const pair = await startPair(t);
  const { red, redUp } = pair;
  const text = await cliOk('status', ...red.at);
  assert.match(text, /^data plane +portable \(configured: auto\)$/m);
  assert.doesNotMatch(redUp.output, /"event":"data-plane"/);
  assert.equal(await redUp.stop(), 0);
  const toml = readFileSync(red.config, 'utf8');
  writeFileSync(red.config, toml.replace('[node]\n', '[node]\ndata_plane = "native"\n'));

  for (const [machine, reason] of Object.entries(REASONS)) {
    const skip = !hasKoffi && WITH_KOFFI.includes(machine) && 'there is no koffi';
    await t.test(`${machine}: it comes up portable, and says so once`, { skip }, async (t) => {
      await onMachine(machine as FakeMachine, () => checkWarns(pair, reason));
      const up = await onMachine(machine as FakeMachine, async () => {
        return new Running(t, 'up', ...red.at);
      });
      await comesUp(pair, up, { configured: 'native', inUse: 'portable', reason });
      const told = up.output.split('\n').filter((line) => line.includes('"event":"data-plane"'));
      assert.equal(told.length, 1);
      const { level, msg } = JSON.parse(told[0]!) as { level: string; msg: string };
      assert.equal(level, 'warn');
      assert.equal(msg, `the data plane is portable, not native as configured: ${reason}`);
    });
  }

  await t.test('where nothing is missing it is native', { skip: planeMissing }, async (t) => {
    assert.doesNotMatch(await cliOk('check', ...red.at), /data plane/);
    const up = new Running(t, 'up', ...red.at);
    await comesUp(pair, up, { configured: 'native', inUse: 'native', reason: null });
    assert.doesNotMatch(up.output, /"event":"data-plane"/);
  });
});

/** The file is in order, and its owner is told what will come of it. */
async function checkWarns({ red }: Pair, reason: string): Promise<void> {
  const { code, stdout } = await cli('check', ...red.at);
  assert.equal(code, 0);
  assert.ok(stdout.includes(`the native data plane cannot be had here: ${reason}`), stdout);
}

/** Red carries bytes, says what it runs on, and ends in order. */
async function comesUp(
  { gray, red, socket }: Pair,
  up: Running,
  plane: NodeStatus['dataPlane'],
): Promise<void> {
  await up.printed(/"event":"node-up"/);
  await untilStatus(gray, ({ forwards }) => forwards[0]?.state === 'listening');
  assert.equal(await echoed(socket, 'over the wall'), 'over the wall');
  const { dataPlane } = await cliJson<NodeStatus>('status', ...red.at);
  assert.deepEqual(dataPlane, plane);
  const { inUse, reason } = plane;
  const words = reason === null ? '(configured: native)' : `NOT native as configured: ${reason}`;
  assert.ok((await cliOk('status', ...red.at)).includes(words), `${inUse}: ${words}`);
  assert.equal(await up.stop(), 0);
}
