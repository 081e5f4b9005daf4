import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { connect as tlsConnect } from 'node:tls';
import { testCa, testCredentials } from '../../support/certificates.ts';
import { laneCompliance } from '../../support/lanes/lane-compliance.ts';
import { testListener, tlsLanePair, until } from '../../support/lanes/lane-pair.ts';

laneCompliance('TLS', () => tlsLanePair());

test('the exporter of a TLS lane is what any TLS library gives for its label', async () => {
  const ca = await testCa();
  const [red, gray] = await Promise.all([
    testCredentials(ca, { site: 'red' }),
    testCredentials(ca, { site: 'gray' }),
  ]);
  const server = await testListener(gray);
  const socket = tlsConnect({
    ...server.listener.address,
    ...{ key: red.keyPem, cert: red.certChainPem, ca: red.caPem },
    ALPNProtocols: ['routy/1'],
    checkServerIdentity: () => undefined,
  });
  await once(socket, 'secureConnect');
  await until('the accepted end', () => server.lanes.length === 1);
  const context = Buffer.alloc(0);
  const bytes = socket.exportKeyingMaterial(32, 'EXPORTER-routy-lane', context);
  assert.deepEqual([...server.lanes[0]!.exporter], [...bytes]);
  socket.destroy();
  await server.close();
});
