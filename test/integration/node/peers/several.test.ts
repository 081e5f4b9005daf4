import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import {
  formatAddress,
  parseAddress,
  type TcpAddress,
} from '../../../../packages/proto/src/base/address.ts';
import { FaultProxy } from '../../../support/faults/fault-proxy.ts';
import { credentials, forward, LabNode, LISTEN, service } from '../../../support/nodes/node-lab.ts';
import { echo, hear, serve, talk, until } from '../../../support/sockets/loopback.ts';

const FABRIC = '[fabric]\nheartbeat_interval = "200ms"\n';

interface Trio {
  readonly gray: LabNode;
  /** Of `red/red1`, the one that was there first. */
  readonly proxy: FaultProxy;
  /** Of gray's forward to `red/db`, whose targets say the node's name. */
  readonly forward: TcpAddress;
  /** Loses every lane of `red/red1` and lets none come. */
  suspend(): Promise<void>;
}

/** Two nodes of red dial gray, the first through a proxy. */
async function startTrio(t: TestContext, fabric = FABRIC): Promise<Trio> {
  const toml = LISTEN + forward('127.0.0.1:0', 'red/db') + fabric;
  const gray = await LabNode.start(await credentials('gray'), toml, '100ms');
  t.after(() => gray.stop());
  const proxy = await FaultProxy.start({ target: parseAddress(gray.lanes) as TcpAddress });
  t.after(() => proxy.close());
  for (const [name, address] of [
    ['red1', `${proxy.host}:${proxy.port}`],
    ['red2', gray.lanes],
  ] as const) {
    const target = await serve((socket) => socket.end(name));
    t.after(() => target.close());
    const offer = service('db', formatAddress(target.address), 'gray');
    const text = `[[peer]]\naddress = "${address}"\n${offer}${fabric}`;
    const red = await LabNode.start(await credentials('red', name), text, '100ms');
    t.after(() => red.stop());
    await until(`${name} offers it`, () => gray.peer(`red/${name}`)?.session?.offers[0] === 'db');
  }
  const address = (await gray.reach('red/db')) as TcpAddress;
  const suspend = async (): Promise<void> => {
    proxy.refuse();
    await proxy.cut({ how: 'reset' });
    await until('red1 is suspended', () => gray.peer('red/red1')?.state === 'suspended');
  };
  return { gray, proxy, forward: address, suspend };
}

test('while one node of a site is suspended, clients go to another, and then back', async (t) => {
  const { gray, proxy, forward: address, suspend } = await startTrio(t);
  assert.equal((await hear(address)).data.toString(), 'red1');
  await suspend();
  assert.equal((await hear(address)).data.toString(), 'red2');
  await proxy.accept();
  await until('red1 is back', () => gray.peer('red/red1')?.state === 'up');
  assert.equal((await hear(address)).data.toString(), 'red1');
});

test('a ping asks the nodes of a site that are up, and says so when none is', async (t) => {
  const { gray, proxy, suspend } = await startTrio(t);
  const answered = async (target: string): Promise<string[]> =>
    (await gray.running.ping(target, 1)).map(({ peer }) => peer);
  assert.deepEqual(await answered('red'), ['red/red1', 'red/red2']);
  await suspend();
  assert.deepEqual(await answered('red'), ['red/red2']);
  await assert.rejects(answered('red/red1'), { code: 'session-suspended', message: /red\/red1/ });
  await proxy.accept();
  await until('red1 is back', () => gray.peer('red/red1')?.state === 'up');
  assert.deepEqual(await answered('red/red1'), ['red/red1']);
});

test('what nobody has answered goes to another node once the lane is dead', async (t) => {
  const { proxy, gray, forward: address } = await startTrio(t);
  proxy.setFaults('both', { stalled: true });
  proxy.refuse();
  const waiting = Array.from({ length: 5 }, () => hear(address));
  await until('they are open', () => gray.forward('red/db').streams === 5);
  for (const each of waiting) assert.equal((await each).data.toString(), 'red2');
  assert.equal(gray.peer('red/red1')?.state, 'suspended');
  proxy.setFaults('both', { stalled: false });
  await proxy.cut({ how: 'reset' });
  await proxy.accept();
  await until('red1 is back', () => gray.peer('red/red1')?.state === 'up');
  assert.equal((await hear(address)).data.toString(), 'red1');
  assert.equal(gray.forward('red/db').refused, 0);
});

test('what a client has said to a silent node is said to no other', async (t) => {
  const { proxy, gray, forward: address } = await startTrio(t);
  proxy.setFaults('both', { stalled: true });
  proxy.refuse();
  const waiting = talk(address, 'once');
  await until('red1 is suspended', () => gray.peer('red/red1')?.state === 'suspended');
  assert.equal((await talk(address, 'again')).data.toString(), 'red2');
  proxy.setFaults('both', { stalled: false });
  await proxy.cut({ how: 'reset' });
  await proxy.accept();
  assert.equal((await waiting).data.toString(), 'red1');
});

test('a client that speaks first is served by another node, if the silence had lasted a second', async (t) => {
  const slow = '[fabric]\nheartbeat_interval = "2s"\nheartbeat_misses = 2\n';
  const { proxy, gray, forward: address } = await startTrio(t, slow);
  proxy.setFaults('both', { stalled: true });
  proxy.refuse();
  const unheardMs = () => gray.peer('red/red1')?.session?.lastHeardMsAgo ?? 0;
  await until('red1 was not heard for a second', () => unheardMs() > 1000);
  assert.equal((await talk(address, 'hello')).data.toString(), 'red2');
  proxy.setFaults('both', { stalled: false });
  await proxy.cut({ how: 'reset' });
  await proxy.accept();
  await until('red1 is back', () => gray.peer('red/red1')?.state === 'up');
  assert.equal((await talk(address, 'hello')).data.toString(), 'red1');
});

test('clients that came while nobody served go to the node that comes, with what they say', async (t) => {
  const { gray, proxy, toml } = await startOne(t);
  const address = (await gray.reach('red/db')) as TcpAddress;
  proxy.refuse();
  await proxy.cut({ how: 'reset' });
  await until('red1 is suspended', () => gray.peer('red/red1')?.state === 'suspended');
  const waiting = Array.from({ length: 5 }, (_, index) => talk(address, `client ${index}`));
  await until('they are open', () => gray.forward('red/db').streams === 5);
  const red2 = await LabNode.start(await credentials('red', 'red2'), toml(gray.lanes), '100ms');
  t.after(() => red2.stop());
  for (const [index, each] of waiting.entries()) {
    assert.equal((await each).data.toString(), `client ${index}`);
  }
  assert.equal(gray.peer('red/red1')?.state, 'suspended');
});

/** `red/red1` alone, which dials gray through a proxy and offers an echo as `red/db`. */
async function startOne(t: TestContext) {
  const text = LISTEN + forward('127.0.0.1:0', 'red/db') + FABRIC;
  const gray = await LabNode.start(await credentials('gray'), text, '100ms');
  t.after(() => gray.stop());
  const proxy = await FaultProxy.start({ target: parseAddress(gray.lanes) as TcpAddress });
  t.after(() => proxy.close());
  const target = await serve(echo);
  t.after(() => target.close());
  const offer = service('db', formatAddress(target.address), 'gray');
  const toml = (lanes: string) => `[[peer]]\naddress = "${lanes}"\n${offer}${FABRIC}`;
  const through = toml(`${proxy.host}:${proxy.port}`);
  const red = await LabNode.start(await credentials('red', 'red1'), through, '100ms');
  t.after(() => red.stop());
  return { gray, proxy, toml };
}
