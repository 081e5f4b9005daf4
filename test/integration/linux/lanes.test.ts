import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { after, before, describe, test } from 'node:test';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import type { TlsCredentials } from '../../../packages/link/src/transport/lane.ts';
import { ALPN_LANE } from '../../../packages/link/src/transport/tls/tls-context.ts';
import { testCa, testCredentials } from '../../support/certificates.ts';
import { laneCompliance } from '../../support/lanes/lane-compliance.ts';
import {
  type LanePair,
  LaneRecorder,
  LOOPBACK,
  listeningPort,
  portableLanes,
  tlsLanePair,
} from '../../support/lanes/lane-pair.ts';
import { dialBare, nativeLanes } from '../../support/lanes/native-lanes.ts';
import { planeMissing, testPlane } from '../../support/linux/native-plane.ts';
import { until } from '../../support/sockets/loopback.ts';

const MIB = 1024 * 1024;

describe('native lanes', { timeout: 120_000, skip: planeMissing }, () => {
  laneCompliance('native to native', () => tlsLanePair(nativeLanes, nativeLanes));
  laneCompliance('native to portable', () => tlsLanePair(nativeLanes, portableLanes));
  laneCompliance('portable to native', () => tlsLanePair(portableLanes, nativeLanes));
  turns();
  describe('with node:tls at the other end', records);

  test('leave nothing behind', async () => {
    const { loop } = testPlane();
    await until('nothing is watched', () => loop.watched === 0);
  });
});

function turns(): void {
  const pairTest = (title: string, run: (pair: LanePair) => Promise<void>): void => {
    test(title, async () => {
      const pair = await tlsLanePair(nativeLanes, nativeLanes);
      try {
        await run(pair);
      } finally {
        await pair.close();
      }
    });
  };

  pairTest(
    'who pauses in the middle of a read gets the rest of it when it goes on',
    async (pair) => {
      const { dialled, accepted } = pair;
      const there = new LaneRecorder();
      there.onChunk = () => accepted.pause();
      accepted.bind(there);
      dialled.bind(new LaneRecorder());
      const data = randomBytes(MIB);
      dialled.write([data]);
      // Each time it takes one record, whatever was read with it.
      while (there.bytes < data.length) {
        const chunks = there.chunks.length + 1;
        accepted.resume();
        await until('the next record', () => there.chunks.length === chunks);
        await new Promise(setImmediate);
        assert.equal(there.chunks.length, chunks);
      }
      assert.ok(there.received.equals(data));
    },
  );

  pairTest('what a lane says at once is bounded, so that others have their turn', async (pair) => {
    const { dialled, accepted } = pair;
    const there = new LaneRecorder();
    accepted.bind(there);
    const here = new LaneRecorder();
    dialled.bind(here);
    const chunk = new Uint8Array(64 * 1024);
    let sent = 0;
    for (let turn = 0; turn < 20; turn++) {
      const before = sent;
      const { drains } = here;
      do sent += chunk.length;
      while (dialled.write([chunk]));
      assert.ok(sent - before <= MIB, `${sent - before} bytes at once`);
      await until('it may go on', () => here.drains > drains);
    }
    await until('all is there', () => there.bytes === sent);
  });

  pairTest(
    'an end that was asked for while bytes wait for their turn comes behind them',
    async (pair) => {
      const { dialled, accepted } = pair;
      const there = new LaneRecorder();
      accepted.bind(there);
      dialled.bind(new LaneRecorder());
      const data = randomBytes(3 * MIB);
      dialled.write([data]);
      assert.ok(dialled.queuedBytes > 0);
      dialled.end();
      await until('the end', () => there.closes.length === 1);
      assert.ok(there.received.equals(data));
      assert.deepEqual(there.closes, [undefined]);
    },
  );
}

function records(): void {
  let red: TlsCredentials;
  let server: Server;
  let port: number;
  const peers: TLSSocket[] = [];

  before(async () => {
    const ca = await testCa();
    red = await testCredentials(ca, { site: 'red' });
    const gray = await testCredentials(ca, { site: 'gray' });
    server = createServer({
      ...{ key: gray.keyPem, cert: gray.certChainPem, ca: gray.caPem },
      ...{ ALPNProtocols: [ALPN_LANE], requestCert: true },
    });
    server.on('secureConnection', (socket) => {
      socket.on('error', () => undefined);
      peers.push(socket);
    });
    server.listen(0, LOOPBACK.host);
    port = await listeningPort(server);
  });
  after(() => server.close());

  async function connection(limits: Parameters<typeof dialBare>[2] = {}) {
    const bare = await dialBare({ ...LOOPBACK, port }, red, limits);
    const here = new LaneRecorder();
    bare.lane.bind(here);
    await until('the peer', () => peers.length > 0);
    const peer = peers.shift()!;
    peer.write('hello');
    await until('its first word', () => here.bytes === 5);
    return { ...bare, here, peer };
  }

  test('keys change many times on the way, both ways', async () => {
    const { lane, layer, here, peer } = await connection({ recordsMax: 4 });
    const data = randomBytes(4 * MIB);
    const chunks: Buffer[] = [];
    peer.on('data', (chunk: Buffer) => chunks.push(chunk));
    for (let at = 0; at < data.length; at += MIB) {
      const { drains } = here;
      peer.write(data.subarray(at, at + MIB));
      if (!lane.write([data.subarray(at, at + MIB)])) {
        await until('it may go on', () => here.drains > drains);
      }
    }
    await until('all is here', () => here.bytes === 5 + data.length);
    lane.end();
    await once(peer, 'end');
    assert.ok(Buffer.concat(chunks).equals(data));
    assert.ok(here.received.subarray(5).equals(data));
    assert.ok(layer.counts.keyUpdatesSent >= 64, `${layer.counts.keyUpdatesSent} sent`);
    assert.ok(layer.counts.keyUpdatesReceived > 0);
    await until('it is closed', () => here.closes.length === 1);
    assert.deepEqual(here.closes, [undefined]);
  });

  test('the secrets are cleared when the lane is over', async () => {
    const { lane, established, peer } = await connection();
    const { sendSecret, receiveSecret } = established;
    assert.ok(sendSecret.some((byte) => byte !== 0) && receiveSecret.some((byte) => byte !== 0));
    lane.destroy();
    assert.ok([...sendSecret, ...receiveSecret].every((byte) => byte === 0));
    peer.destroy();
  });

  test('a connection that ends without the close of TLS has not ended in order', async () => {
    const { here, peer } = await connection();
    peer.destroy();
    await until('it is closed', () => here.closes.length === 1);
    assert.equal(here.closes[0]?.code, 'lane-closed');
    assert.match(here.closes[0].message, /without a close_notify$/);
  });

  test('bytes that nobody takes do not hold an end for ever', async () => {
    const { lane, here, peer } = await connection({ lingerMs: 50 });
    peer.pause();
    while (lane.write([new Uint8Array(MIB)])) await new Promise(setImmediate);
    // More than the buffers of both sockets can hold.
    for (let n = 0; n < 32; n++) lane.write([new Uint8Array(MIB)]);
    lane.end();
    await until('it is closed', () => here.closes.length === 1);
    assert.equal(here.closes[0]?.code, 'lane-timeout');
    assert.match(here.closes[0].message, /did not take the last \d+ bytes within 50 ms$/);
    peer.destroy();
  });
}
