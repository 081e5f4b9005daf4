import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import {
  formatAddress,
  parseAddress,
  type TcpAddress,
} from '../../../../packages/proto/src/base/address.ts';
import type { PeerStatus } from '../../../../packages/routy/src/status/status.ts';
import { FaultProxy } from '../../../support/faults/fault-proxy.ts';
import { credentials, forward, LabNode, LISTEN, service } from '../../../support/nodes/node-lab.ts';
import { dial, echo, serve, talk, until } from '../../../support/sockets/loopback.ts';

const ANY = '127.0.0.1:0';

interface Pair {
  readonly red: LabNode;
  readonly gray: LabNode;
  readonly proxy: FaultProxy;
  /** Of red's forward to gray's echo. */
  readonly forward: TcpAddress;
  /** Red's configuration with another number of lanes. */
  redText(lanes: number): string;
}

/** Red dials gray through a proxy; both have the same `[fabric]`. */
async function startPair(t: TestContext, fabric: string, lanes = 2): Promise<Pair> {
  const target = await serve(echo);
  t.after(() => target.close());
  const settings = `[fabric]\nheartbeat_interval = "200ms"\n${fabric}`;
  const offer = service('db', formatAddress(target.address), 'red');
  const gray = await LabNode.start(await credentials('gray'), LISTEN + offer + settings, '2s');
  t.after(() => gray.stop());
  const proxy = await FaultProxy.start({ target: parseAddress(gray.lanes) as TcpAddress });
  t.after(() => proxy.close());
  const redText = (count: number): string =>
    `[[peer]]\naddress = "${proxy.host}:${proxy.port}"\nlanes = ${count}\n${forward(ANY, 'gray/db')}${settings}`;
  const red = await LabNode.start(await credentials('red'), redText(lanes), '2s');
  t.after(() => red.stop());
  const address = (await red.reach('gray/db')) as TcpAddress;
  return { red, gray, proxy, forward: address, redText };
}

function lanesOf(node: LabNode): number {
  return node.peer()?.session?.lanes.length ?? 0;
}

function untilLanes({ red, gray }: Pair, count: number): Promise<void> {
  return until(`there are ${count} lanes`, () => lanesOf(red) === count && lanesOf(gray) === count);
}

function show(peer: PeerStatus | undefined): unknown {
  return { state: peer?.state, session: peer?.session?.state, lanes: peer?.session?.lanes.length };
}

test('a session has as many lanes as configured, and a reload changes how many', async (t) => {
  const pair = await startPair(t, '');
  const { red, gray, forward: address, redText } = pair;
  await untilLanes(pair, 2);
  const { id } = red.peer()!.session!;
  assert.deepEqual(
    red.peer()!.session!.lanes.map(({ epoch }) => epoch),
    [1, 2],
  );
  const client = dial(address);
  t.after(() => client.destroy());
  let text = '';
  client.on('data', (data) => {
    text += String(data);
  });
  for (const lanes of [4, 1, 3]) {
    await red.reload(redText(lanes));
    await untilLanes(pair, lanes);
    client.write(`${lanes}`);
    await until('the stream goes on', () => text.endsWith(`${lanes}`));
  }
  assert.equal(red.peer()?.session?.id, id);
  assert.equal(gray.peer()?.session?.id, id);
  assert.equal(red.events().includes('lane-lost'), false);
  assert.equal(red.events().includes('session-suspended'), false);
});

test('a session without a lane is suspended: forwards listen, new streams wait', async (t) => {
  const pair = await startPair(t, '');
  const { red, gray, proxy, forward: address } = pair;
  await untilLanes(pair, 2);
  proxy.refuse();
  await proxy.cut({ how: 'reset' });
  for (const node of [red, gray]) {
    await until('it is suspended', () => node.peer()?.state === 'suspended');
    assert.deepEqual(show(node.peer()), { state: 'suspended', session: 'suspended', lanes: 0 });
    assert.notEqual(node.peer()?.reason, null);
    assert.match(await node.metrics.text(), /^routy_sessions\{state="suspended"\} 1$/m);
  }
  assert.equal(red.forward('gray/db').state, 'listening');
  const waiting = talk(address, 'patience');
  await assert.rejects(red.running.ping('gray', 1), { code: 'session-suspended' });
  await proxy.accept();
  assert.equal((await waiting).data.toString(), 'patience');
  for (const node of [red, gray]) {
    await until('it is up', () => node.peer()?.state === 'up');
    assert.equal(node.peer()?.reason, null);
    const wanted = ['session-up', 'lane-up', 'lane-lost', 'session-suspended', 'session-resumed'];
    assert.deepEqual(
      wanted.filter((event) => !node.events().includes(event)),
      [],
    );
    assert.match(await node.metrics.text(), /^routy_session_resumes_total\{peer="\w+\/\w+"\} 1$/m);
    assert.match(await node.metrics.text(), /^routy_lanes_lost_total\{code="lane-lost"\} \d$/m);
  }
});

test('a further lane that cannot be had does not make the peer look down', async (t) => {
  const pair = await startPair(t, '', 1);
  const { red, proxy, forward: address, redText } = pair;
  proxy.refuse();
  await red.reload(redText(2));
  const told = (): boolean =>
    red.lines.some(({ event, msg }) => event === 'dial-failed' && /no further lane/.test(msg));
  await until('it is told', told);
  assert.deepEqual(show(red.peer()), { state: 'up', session: 'up', lanes: 1 });
  assert.equal(red.peer()?.reason, null);
  assert.equal((await talk(address, 'fine')).data.toString(), 'fine');
  await proxy.accept();
  await untilLanes(pair, 2);
});

test('after a session that was given up the acceptor holds only the next', async (t) => {
  // Gray would keep it for a quarter longer than red does: time for red to come back on a busy machine.
  const pair = await startPair(t, 'resume_time = "8s"\n');
  const { red, gray, proxy } = pair;
  await untilLanes(pair, 2);
  const { id } = red.peer()!.session!;
  proxy.refuse();
  await proxy.cut({ how: 'reset' });
  await until('red has given up', () => red.events().includes('session-down'));
  assert.equal(gray.peer()?.state, 'suspended');
  await proxy.accept();
  await until('another is up', () =>
    gray.running.status().peers.some(({ state }) => state === 'up'),
  );
  const { peers } = gray.running.status();
  assert.equal(peers.length, 1);
  assert.notEqual(peers[0]!.session?.id, id);
  assert.equal(gray.lines.find(({ event }) => event === 'session-down')?.code, 'taken-over');
});

for (const stopping of ['red', 'gray'] as const) {
  test(`lost lanes come back while ${stopping} stops and its streams end`, async (t) => {
    const pair = await startPair(t, '');
    const { proxy, forward: address } = pair;
    await untilLanes(pair, 2);
    const client = dial(address);
    t.after(() => client.destroy());
    let text = '';
    client.on('data', (data) => {
      text += String(data);
    });
    client.write('before ');
    await until('it is answered', () => text === 'before ');
    const node = pair[stopping];
    const stopped = node.running.stop();
    await until('it drains', () => node.running.status().state === 'draining');
    // Whoever stops closes its listener, if it does that too early, within a round or two.
    await new Promise((resolve) => setTimeout(resolve, 20));
    await proxy.cut({ how: 'reset' });
    client.end('after');
    await until('the rest is answered', () => text === 'before after');
    await stopped;
    assert.equal(node.lines.find(({ event }) => event === 'node-down')?.streamsReset, 0);
  });
}

test('a stopping node begins no session', async (t) => {
  const pair = await startPair(t, '');
  const { gray, forward: address } = pair;
  const client = dial(address);
  t.after(() => client.destroy());
  let text = '';
  client.on('data', (data) => {
    text += String(data);
  });
  client.write('open');
  await until('it is answered', () => text === 'open');
  const stopped = gray.running.stop();
  await until('it drains', () => gray.running.status().state === 'draining');
  const toml = `[[peer]]\naddress = "${gray.lanes}"\n[fabric]\nheartbeat_interval = "200ms"\n`;
  const blue = await LabNode.start(await credentials('blue'), toml, '100ms');
  t.after(() => blue.stop());
  await until('blue is refused', () => /the node stops/.test(blue.peer()?.reason ?? ''));
  assert.equal(gray.peer('blue/blue1')?.session ?? null, null);
  client.end();
  await stopped;
  assert.equal(gray.lines.find(({ event }) => event === 'node-down')?.streamsReset, 0);
});

test('an address that leads to another node does not take the session there, but begins one', async (t) => {
  const [one, two] = await Promise.all(
    ['gray1', 'gray2'].map(async (name) => LabNode.start(await credentials('gray', name), LISTEN)),
  );
  t.after(() => Promise.all([one!.stop(), two!.stop()]));
  const proxy = await FaultProxy.start({ target: parseAddress(one!.lanes) as TcpAddress });
  t.after(() => proxy.close());
  const red = await LabNode.start(
    await credentials('red'),
    `[[peer]]\naddresses = ["${proxy.host}:${proxy.port}", "${two!.lanes}"]\n`,
  );
  t.after(() => red.stop());
  await until('there are two lanes', () => lanesOf(red) === 2);
  const { id } = red.peer()!.session!;
  proxy.refuse();
  await proxy.cut({ how: 'reset' });
  const told = (): boolean => red.lines.some(({ msg }) => /leads to gray\/gray2/.test(msg));
  await until('it is told', told);
  await proxy.accept();
  await until('it goes on', () => red.peer('gray/gray1')?.state === 'up');
  assert.equal(red.peer('gray/gray1')?.session?.id, id);
  await until('the other serves too', () => red.peer('gray/gray2')?.state === 'up');
  assert.notEqual(two!.peer('red/red1')?.session?.id ?? id, id);
});
