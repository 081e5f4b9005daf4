import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { describe, test } from 'node:test';
import { loadProcessLibrary } from '../../../packages/linux/src/native/process-library.ts';
import { loadSystem } from '../../../packages/linux/src/system/system.ts';
import { loadNativePlane } from '../../../packages/linux/src/sockets/native-plane.ts';
import { dataPlane } from '../../../packages/routy/src/node/data-plane.ts';
import { testCa, testCredentials } from '../../support/certificates.ts';
import { LOOPBACK } from '../../support/lanes/lane-pair.ts';
import { planeMissing } from '../../support/linux/native-plane.ts';
import { credentials, LabNode, LISTEN, peerTo, service } from '../../support/nodes/node-lab.ts';
import { until } from '../../support/sockets/loopback.ts';

const MIB = 1024 * 1024;

describe('the data plane of a node', { timeout: 60_000, skip: planeMissing }, () => {
  for (const [red, gray] of [
    ['native', 'native'],
    ['native', 'portable'],
    ['portable', 'native'],
  ] as const) {
    test(`bytes go both ways between ${red} and ${gray}`, async (t) => {
      const echo = createServer((socket) => socket.pipe(socket)).listen(0, '127.0.0.1');
      t.after(() => echo.close());
      await once(echo, 'listening');
      const target = `127.0.0.1:${(echo.address() as AddressInfo).port}`;
      const nodes = await twoNodes(red, gray, target);
      t.after(() => Promise.all(nodes.map((node) => node.stop())));
      assert.deepEqual(
        nodes.map(({ running }) => running.status().dataPlane),
        [
          { configured: gray, inUse: gray, reason: null },
          { configured: red, inUse: red, reason: null },
        ],
      );
      const address = await nodes[0]!.reach('red/echo');
      assert.ok(address.kind === 'tcp');
      const client = connect({ host: address.host, port: address.port });
      const sent = randomBytes(8 * MIB);
      client.end(sent);
      const chunks: Buffer[] = [];
      for await (const chunk of client) chunks.push(chunk as Buffer);
      assert.ok(Buffer.concat(chunks).equals(sent));
    });
  }

  test('what a plane carries outlives its node', async () => {
    const ca = await testCa();
    const red = await testCredentials(ca, { site: 'red' });
    const gray = await testCredentials(ca, { site: 'gray' });
    const plane = await dataPlane('native');
    const got: Buffer[] = [];
    let accepted = 0;
    const listener = await plane.listen({
      address: LOOPBACK,
      credentials: () => gray,
      handlers: {
        onLane: (lane) => {
          accepted++;
          lane.bind({
            onData: (chunk) => got.push(Buffer.from(chunk)),
            onDrain: () => undefined,
            onClose: () => undefined,
          });
        },
        onRefused: ({ reason }) => assert.fail(reason),
        onEnrol: () => assert.fail('an enrolment'),
        onError: (error) => assert.fail(error),
      },
    });
    const lane = await plane.dial({ address: listener.address, credentials: red });
    await until('both ends are there', () => accepted === 1);
    await listener.close();
    plane.close();
    lane.bind({ onData: () => undefined, onDrain: () => undefined, onClose: () => undefined });
    lane.write([Buffer.from('still here')]);
    await until('it has come', () => Buffer.concat(got).toString() === 'still here');
    lane.end();
  });
});

test('a machine without what the native plane needs has one line that says so', async () => {
  const library = loadProcessLibrary(() => {
    throw new Error("Cannot find module 'koffi'");
  });
  const broken = { library: { func: () => assert.fail('a symbol') } } as never;
  const architectures = loadSystem({ architecture: 'mips' });
  for (const [system, reason] of [
    [loadSystem({ library }), /^koffi does not load: Cannot find module 'koffi'$/],
    [loadSystem({ library: broken }), /./],
    [loadSystem({ library: loadProcessLibrary(undefined, 'darwin') }), /^not on darwin$/],
    [architectures, /^not on mips$/],
  ] as const) {
    const plane = await dataPlane('native', () => loadNativePlane({ system }));
    assert.equal(plane.status.inUse, 'portable');
    assert.match(plane.status.reason ?? '', reason);
  }
});

/** Gray listens and has the forward; red dials and has the service. */
async function twoNodes(red: string, gray: string, target: string): Promise<LabNode[]> {
  const start = async (site: string, toml: string, plane: string) =>
    LabNode.start(await credentials(site), toml, '3s', undefined, plane);
  const forward = '[[forward]]\nlisten = "127.0.0.1:0"\nto = "red/echo"\n';
  const listening = await start('gray', LISTEN + forward, gray);
  const dialling = await start('red', peerTo(listening) + service('echo', target, 'gray'), red);
  return [listening, dialling];
}
