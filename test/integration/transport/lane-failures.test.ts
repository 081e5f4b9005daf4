import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { connect as tlsConnect } from 'node:tls';
import type { Lane, TlsCredentials } from '../../../packages/link/src/transport/lane.ts';
import { ALPN_LANE } from '../../../packages/link/src/transport/tls/tls-context.ts';
import { TlsLane } from '../../../packages/link/src/transport/tls/tls-lane.ts';
import { testCa, testCredentials } from '../../support/certificates.ts';
import {
  type LaneMaker,
  LaneRecorder,
  listeningPort,
  type TestListener,
  testListener,
  until,
} from '../../support/lanes/lane-pair.ts';
import { LANE_KINDS } from '../../support/lanes/native-lanes.ts';

for (const [dialling, dialler] of Object.entries(LANE_KINDS)) {
  for (const [listening, listener] of Object.entries(LANE_KINDS)) {
    describe(
      `how a lane fails that was dialled on ${dialling} and accepted on ${listening}`,
      {
        timeout: 60_000,
      },
      () => lanesFail(dialler, listener),
    );
  }
}

function lanesFail(dialler: LaneMaker, listener: LaneMaker): void {
  let red: TlsCredentials;
  let gray: TestListener;

  before(async () => {
    const ca = await testCa();
    red = await testCredentials(ca, { site: 'red' });
    gray = await testListener(await testCredentials(ca, { site: 'gray' }), {}, listener.listen);
  });
  after(() => gray.close());

  test('a reset on the way is a reset, on both ends', async () => {
    const { middle, here, there } = await lanes();
    middle.reset();
    await until('both closed', () => here.closes.length + there.closes.length === 2);
    assert.equal(here.closes[0]?.code, 'lane-reset');
    assert.equal(there.closes[0]?.code, 'lane-reset');
    middle.close();
  });

  test('a byte changed on the way is noticed and handed to nobody', async () => {
    const { middle, lane, here, there } = await lanes();
    middle.corrupt = true;
    lane.write([Buffer.from('these bytes are changed on the way')]);
    await until('both closed', () => here.closes.length + there.closes.length === 2);
    assert.equal(there.closes[0]?.code, 'lane-corrupt');
    assert.equal(there.bytes, 5);
    middle.close();
  });

  /** A lane through a middleman, both ends bound, after a first exchange. */
  async function lanes() {
    const middle = await middleman(gray.listener.address.port);
    const count = gray.lanes.length;
    const address = { kind: 'tcp', host: '127.0.0.1', port: middle.port } as const;
    const lane: Lane = await dialler.dial({ address, credentials: red });
    await until('the accepted end', () => gray.lanes.length > count);
    const here = new LaneRecorder();
    const there = new LaneRecorder();
    lane.bind(here);
    gray.lanes[count]!.bind(there);
    lane.write([Buffer.from('hello')]);
    gray.lanes[count]!.write([Buffer.from('hello')]);
    await until('the first exchange', () => here.bytes === 5 && there.bytes === 5);
    return { middle, lane, here, there };
  }
}

test('bytes that nobody takes do not hold the end of a lane for ever', async () => {
  const ca = await testCa();
  const red = await testCredentials(ca, { site: 'red' });
  const gray = await testListener(await testCredentials(ca, { site: 'gray' }));
  const socket = tlsConnect({
    ...gray.listener.address,
    ...{ key: red.keyPem, cert: red.certChainPem, ca: red.caPem },
    ALPNProtocols: [ALPN_LANE],
    checkServerIdentity: () => undefined,
  });
  await once(socket, 'secureConnect');
  const peer = { fabric: 'fabric1', site: 'gray', node: 'gray1' };
  const lane = new TlsLane(socket, { peer, direction: 'dialled', lingerMs: 50 });
  const here = new LaneRecorder();
  lane.bind(here);
  // The accepted end is never bound, so it never reads.
  // More than the buffers of both sockets can hold.
  for (let i = 0; i < 64; i++) lane.write([new Uint8Array(1_000_000)]);
  lane.end();
  await until('closed', () => here.closes.length === 1);
  assert.equal(here.closes[0]?.code, 'lane-timeout');
  assert.match(here.closes[0].message, /did not take the last \d+ bytes within 50 ms$/);
  await gray.close();
});

interface Middleman {
  readonly port: number;
  /** Changes the last byte of whatever goes to the listener. */
  corrupt: boolean;
  reset(): void;
  close(): void;
}

async function middleman(port: number): Promise<Middleman> {
  const sockets: Socket[] = [];
  const server = createServer((client) => {
    const target = connect({ host: '127.0.0.1', port });
    sockets.push(client, target);
    for (const socket of [client, target]) socket.on('error', () => undefined);
    target.pipe(client);
    client.on('data', (chunk: Buffer) => {
      if (middle.corrupt) chunk[chunk.length - 1]! ^= 1;
      target.write(chunk);
    });
    client.on('end', () => target.end());
  });
  server.listen(0, '127.0.0.1');
  const middle: Middleman = {
    port: await listeningPort(server),
    corrupt: false,
    reset: () => {
      for (const socket of sockets) socket.resetAndDestroy();
    },
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
  return middle;
}
