import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startSession } from '../../../../packages/link/src/driver/session-driver.ts';
import type { DriverOptions } from '../../../../packages/link/src/driver/session-options.ts';
import type { SessionFactory } from '../../../../packages/link/src/peers/process-sessions.ts';
import {
  formatAddress,
  parseAddress,
  type TcpAddress,
} from '../../../../packages/proto/src/base/address.ts';
import { FaultProxy } from '../../../support/faults/fault-proxy.ts';
import { credentials, LabNode, LISTEN } from '../../../support/nodes/node-lab.ts';
import { serve, until } from '../../../support/sockets/loopback.ts';

const FABRIC = '[fabric]\nheartbeat_interval = "200ms"\n';

test('a peer that was restarted is dialled anew where it answered, not at its next address', async (t) => {
  const papers = await credentials('gray');
  const [first, second] = [
    await LabNode.start(papers, LISTEN + FABRIC, '100ms'),
    await LabNode.start(papers, LISTEN + FABRIC, '100ms'),
  ];
  t.after(() => Promise.all([first.stop(), second.stop()]));
  const target = { ...(parseAddress(first.lanes) as TcpAddress) };
  const proxy = await FaultProxy.start({ target });
  t.after(() => proxy.close());
  let dialled = 0;
  const silent = await serve(() => {
    dialled += 1;
  });
  t.after(() => silent.close());
  const addresses = [`${proxy.host}:${proxy.port}`, formatAddress(silent.address)];
  const red = await LabNode.start(
    await credentials('red'),
    `[[peer]]\naddresses = ${JSON.stringify(addresses)}\nlanes = 1\n${FABRIC}`,
    '100ms',
  );
  t.after(() => red.stop());
  await until('it is up', () => red.peer()?.state === 'up');
  const { id } = red.peer()!.session!;
  // From here on the proxy leads to the other process of gray.
  Object.assign(target, parseAddress(second.lanes));
  await proxy.cut({ how: 'reset' });
  const session = () => red.peer()?.session;
  await until('there is another session', () => (session()?.id ?? id) !== id);
  const down = red.lines.find(({ event }) => event === 'session-down');
  assert.equal(down?.code, 'unknown-session');
  assert.equal(dialled, 0);
});

test('a peer whose session was lost is down since then', async (t) => {
  const settings = `${FABRIC}resume_time = "1s"\n`;
  const gray = await LabNode.start(await credentials('gray'), LISTEN + settings, '100ms');
  t.after(() => gray.stop());
  const proxy = await FaultProxy.start({ target: parseAddress(gray.lanes) as TcpAddress });
  t.after(() => proxy.close());
  const peer = `[[peer]]\naddress = "${proxy.host}:${proxy.port}"\n`;
  const red = await LabNode.start(await credentials('red'), peer + settings, '100ms');
  t.after(() => red.stop());
  await until('it is up', () => red.peer()?.state === 'up');
  // Whoever dials waits for an answer, so that the state is the same as before it was up.
  proxy.setFaults('both', { stalled: true });
  const down = () => red.lines.find(({ event }) => event === 'session-down');
  await until('it is given up', () => down() !== undefined);
  const { state, since } = red.peer()!;
  assert.equal(state, 'dialling');
  assert.ok(since >= String(down()!.time), `${since} is before the end of the session`);
});

test('a session that never came up does not hide the one before, which the peer may hold', async (t) => {
  const settings = `${FABRIC}resume_time = "600ms"\n`;
  const gray = await LabNode.start(await credentials('gray'), LISTEN + settings, '100ms');
  t.after(() => gray.stop());
  const proxy = await FaultProxy.start({ target: parseAddress(gray.lanes) as TcpAddress });
  t.after(() => proxy.close());
  const begun: DriverOptions[] = [];
  const sessions: SessionFactory = (options, handlers) => {
    const driver = startSession(options, handlers);
    begun.push(options);
    if (begun.length !== 2) return driver;
    const dial = driver.dial.bind(driver);
    driver.dial = (link) => {
      const laneId = dial(link);
      // Before its HELLO is written, which is done at the end of this round.
      link.lane.destroy();
      return laneId;
    };
    return driver;
  };
  const peer = `[[peer]]\naddress = "${proxy.host}:${proxy.port}"\nlanes = 1\n`;
  const red = await LabNode.start(await credentials('red'), peer + settings, '100ms', sessions);
  t.after(() => red.stop());
  await until('it is up', () => red.peer()?.state === 'up');
  proxy.refuse();
  await proxy.cut({ how: 'reset' });
  await until('it is given up', () => red.events().includes('session-down'));
  await proxy.accept();
  await until('another is up', () => red.peer()?.state === 'up');
  const { sessionId } = begun[0]!;
  assert.deepEqual(
    begun.map(({ replaces }) => replaces),
    [undefined, sessionId, sessionId],
  );
});
