import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test, type TestContext } from 'node:test';
import { startSession } from '../../../../packages/link/src/driver/session-driver.ts';
import type { SessionFactory } from '../../../../packages/link/src/peers/process-sessions.ts';
import { parseAddress, type TcpAddress } from '../../../../packages/proto/src/base/address.ts';
import { FaultProxy } from '../../../support/faults/fault-proxy.ts';
import { onEachPlane } from '../../../support/nodes/data-planes.ts';
import { credentials, forward, LabNode, LISTEN, service } from '../../../support/nodes/node-lab.ts';
import { dial, echo, serve, talk, until } from '../../../support/sockets/loopback.ts';

const FABRIC = '[fabric]\nheartbeat_interval = "200ms"\nresume_time = "10m"\n';

/** Long enough for an echo on a busy machine. */
const ANSWER_MS = 2000;

/** Sessions that answer PINGs, and no OPEN of the service `mute`. */
const silent: SessionFactory = (options, handlers) => {
  const { onStream } = handlers;
  handlers.onStream = (stream) => {
    if (stream.request.service !== 'mute') onStream.call(handlers, stream);
  };
  return startSession(options, handlers);
};

/** Gray's clients reach services of red, which dials it through a proxy. */
async function world(t: TestContext) {
  const target = await serve(echo);
  t.after(() => target.close());
  const limit = `connect_timeout = "${ANSWER_MS}ms"`;
  const forwards = [
    forward('127.0.0.1:0', 'red/echo', limit),
    forward('127.0.0.2:0', 'red/mute', limit),
  ];
  const gray = await LabNode.start(
    await credentials('gray'),
    `${LISTEN}${forwards.join('')}${FABRIC}`,
    '100ms',
  );
  t.after(() => gray.stop());
  const { host, port } = parseAddress(gray.lanes) as TcpAddress;
  const proxy = await FaultProxy.start({ target: { host, port } });
  t.after(() => proxy.close());
  const offers = ['mute', 'echo'].map((name) => service(name, `127.0.0.1:${target.port}`, 'gray'));
  const peer = `[[peer]]\naddress = "${proxy.host}:${proxy.port}"\n`;
  const red = await LabNode.start(
    await credentials('red'),
    `${peer}${offers.join('')}${FABRIC}`,
    '100ms',
    silent,
  );
  t.after(() => red.stop());
  const [mute, echoes] = [await gray.reach('red/mute'), await gray.reach('red/echo')];
  return { gray, red, proxy, mute, echoes };
}

onEachPlane(() => {
  test('a client whose open is never answered is reset in time, others are served', async (t) => {
    const { gray, red, mute, echoes } = await world(t);
    const beganMs = performance.now();
    const waiting = [talk(mute, 'anybody there?'), talk(mute), talk(mute)];
    assert.equal((await talk(echoes, 'meanwhile')).data.toString(), 'meanwhile');
    for (const outcome of await Promise.all(waiting)) assert.equal(outcome.error, 'ECONNRESET');
    assert.ok(performance.now() - beganMs >= ANSWER_MS, 'not before its time');
    const { refused, streams, last } = gray.forward('red/mute');
    assert.deepEqual([refused, streams], [waiting.length, 0]);
    assert.equal(last?.ok, false);
    assert.match(JSON.stringify(last), /target-timeout.*gave no answer in 2000 ms/);
    await until('nothing is kept', () => {
      return [gray, red].every((node) => node.peer()?.session?.streams === 0);
    });
    assert.equal((await talk(echoes, 'after')).data.toString(), 'after');
  });

  test('time without a lane does not count: nobody could have answered', async (t) => {
    const { gray, proxy, echoes } = await world(t);
    proxy.refuse();
    await proxy.cut({ how: 'close' });
    await until('the session waits', () => gray.peer()?.state === 'suspended');
    const client = dial(echoes);
    t.after(() => client.destroy());
    await once(client, 'connect');
    client.write('still here');
    await new Promise((resolve) => setTimeout(resolve, 2 * ANSWER_MS));
    await proxy.accept();
    const [answer] = (await once(client, 'data')) as [Buffer];
    assert.equal(answer.toString(), 'still here');
  });
});
