import assert from 'node:assert/strict';
import { assertBlocked } from '../support/namespaces/namespaces.ts';
import { type Home, joinLineIn, makeHome, RoutyNode, routyOk } from '../support/nodes/routy.ts';
import { startTcpTools, type TcpTools } from '../support/tcp-tools/tcp-tools.ts';
import { ROUTY_PORT } from './pair.ts';
import { systemTest, type World } from './world.ts';

const FORWARD_PORT = 9000;
const FORWARD = `127.0.0.1:${FORWARD_PORT}`;
const LISTEN = `0.0.0.0:${ROUTY_PORT}`;

/** An echo server in each namespace, and homes with nothing in them. */
interface Ground {
  readonly red: Home;
  readonly gray: Home;
  readonly tools: { readonly red: TcpTools; readonly gray: TcpTools };
  readonly echoPort: { readonly red: number; readonly gray: number };
}

async function prepare(world: World): Promise<Ground> {
  const { network, directory } = world;
  const tools = {
    red: startTcpTools(network.red, directory, 'tools-red'),
    gray: startTcpTools(network.gray, directory, 'tools-gray'),
  };
  world.defer(tools.red.stop);
  world.defer(tools.gray.stop);
  const [red, gray] = await Promise.all([
    tools.red.call('serve', { mode: 'echo' }),
    tools.gray.call('serve', { mode: 'echo' }),
  ]);
  await world.step('the firewall keeps gray from red', () => assertBlocked(network, red));
  return {
    red: makeHome(network.red, directory, 'routy-red'),
    gray: makeHome(network.gray, directory, 'routy-gray'),
    tools,
    echoPort: { red, gray },
  };
}

function start(world: World, home: Home, args?: readonly string[]): RoutyNode {
  const node = new RoutyNode(home, args);
  world.defer(() => node.stop());
  return node;
}

/** What a site offers and reaches: its echo server, and the other site's. */
function sideArgs(echoPort: number, other: string): string[] {
  return [
    ...['--service', `echo=127.0.0.1:${echoPort}`, '--allow', other],
    ...['--forward', `${FORWARD}=${other}/echo`],
  ];
}

async function assertBytesFlow(ground: Ground, nodes: readonly RoutyNode[]): Promise<void> {
  await Promise.all(nodes.map((node) => node.untilReady()));
  for (const tools of [ground.tools.red, ground.tools.gray]) {
    const probe = await tools.call('probe', { host: '127.0.0.1', port: FORWARD_PORT, send: true });
    assert.equal(probe.outcome, 'data');
  }
}

systemTest(
  'the newcomer dials: invite in gray, join in red',
  { timeoutMs: 60_000 },
  async (world) => {
    const ground = await prepare(world);
    const { red, gray, echoPort } = ground;
    let line = '';
    let nodes: RoutyNode[] = [];
    await world.step('gray: routy init --invite red, routy up', async () => {
      const printed = await routyOk(gray, [
        ...['init', '--site', 'gray', '--listen', LISTEN, '--invite', 'red'],
        ...['--advertise', `${world.network.gray.ipv4}:${ROUTY_PORT}`],
        ...sideArgs(echoPort.gray, 'red'),
      ]);
      line = joinLineIn(printed);
      nodes = [start(world, gray)];
    });
    await world.step('red: routy join LINE, routy up', async () => {
      await nodes[0]!.untilStatus('listening', (status) => status.listening?.error === null);
      await routyOk(red, ['join', line, ...sideArgs(echoPort.red, 'gray')]);
      nodes = [...nodes, start(world, red)];
    });
    await world.step('bytes flow both ways', () => assertBytesFlow(ground, nodes));
    await world.step('only red has dialled', () => assertOnlyRedDials(nodes[1]!, nodes[0]!));
  },
);

systemTest('the CA is inside and dials: adopt from red', { timeoutMs: 60_000 }, async (world) => {
  const ground = await prepare(world);
  const { red, gray, echoPort } = ground;
  let grayNode: RoutyNode | undefined;
  let redNode: RoutyNode | undefined;
  let address = '';
  await world.step('gray: routy up --await-adoption', async () => {
    grayNode = start(world, gray, [
      ...['up', '--await-adoption', '--listen', LISTEN],
      ...['--advertise', `${world.network.gray.ipv4}:${ROUTY_PORT}`],
      ...sideArgs(echoPort.gray, 'red'),
    ]);
    const printed = await grayNode.daemon.waitFor(/[0-9.]+:7443#[A-Za-z0-9_.-]+/);
    address = printed[0];
  });
  await world.step('red: routy init, routy adopt ADDRESS#PIN --up', async () => {
    await routyOk(red, ['init', '--site', 'red', ...sideArgs(echoPort.red, 'gray')]);
    redNode = start(world, red, ['adopt', address, '--site', 'gray', '--up']);
  });
  const nodes = (): RoutyNode[] => [redNode!, grayNode!];
  await world.step('bytes flow both ways', () => assertBytesFlow(ground, nodes()));
  await world.step('only red has dialled', () => assertOnlyRedDials(redNode!, grayNode!));
  await world.step('the adopted node starts again from its files', async () => {
    await grayNode!.stop();
    grayNode = start(world, gray);
    await assertBytesFlow(ground, nodes());
  });
});

async function assertOnlyRedDials(red: RoutyNode, gray: RoutyNode): Promise<void> {
  const directions = async (node: RoutyNode): Promise<string[]> =>
    (await node.status()).peers.map((peer) => peer.direction);
  assert.deepEqual(await directions(red), ['dialled']);
  assert.deepEqual(await directions(gray), ['accepted']);
}
