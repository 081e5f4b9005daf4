import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { dialLane } from '../../../packages/link/src/transport/dial.ts';
import type { TlsCredentials } from '../../../packages/link/src/transport/lane.ts';
import { type TestCa, testCa, testCaBelow, testCredentials } from '../../support/certificates.ts';
import { testListener, until } from '../../support/lanes/lane-pair.ts';

const END = '-----END CERTIFICATE-----';

/** What docs/PROTOCOL.md says of certificates, shown at both ends. */
describe('the profile of certificates', { timeout: 60_000 }, () => {
  let ca: TestCa;

  before(async () => {
    ca = await testCa();
  });

  /** Why the acceptor and the dialler refuse each other; undefined for who does not. */
  async function refusals(dialler: TlsCredentials, acceptor: TlsCredentials) {
    const server = await testListener(acceptor);
    try {
      const dialled = await dialLane({
        address: server.listener.address,
        credentials: dialler,
      }).then(
        (lane) => lane,
        (error: Error) => error,
      );
      if (!(dialled instanceof Error)) {
        await until('a verdict', () => server.lanes.length + server.refusals.length > 0);
        dialled.destroy();
        return { acceptor: server.refusals[0]?.reason };
      }
      return { dialler: dialled.message, acceptor: server.refusals[0]?.reason };
    } finally {
      await server.close();
    }
  }

  const plain = (site: string) => testCredentials(ca, { site });

  test('an extended key usage may be missing, and allows what it names otherwise', async () => {
    const only = (site: string, usage: 'clientAuth' | 'serverAuth') =>
      testCredentials(ca, { site, usages: [usage] });
    const gray = await only('gray', 'serverAuth');
    assert.deepEqual(await refusals(await only('red', 'clientAuth'), gray), {
      acceptor: undefined,
    });
    assert.deepEqual(await refusals(await plain('red'), gray), { acceptor: undefined });
    const wrongDialler = await refusals(await only('red', 'serverAuth'), gray);
    assert.match(wrongDialler.acceptor!, /is not made for this use \(extended key usage\)/);
    const wrongAcceptor = await refusals(await plain('red'), await only('gray', 'clientAuth'));
    assert.match(wrongAcceptor.dialler!, /is not made for this use \(extended key usage\)/);
  });

  test('the chain may be left out', async () => {
    const [red, gray] = await Promise.all([plain('red'), plain('gray')]);
    const alone = ({ certChainPem, ...rest }: TlsCredentials): TlsCredentials => {
      return { ...rest, certChainPem: `${certChainPem.split(END)[0]}${END}\n` };
    };
    assert.equal(alone(red).certChainPem.match(/BEGIN/g)?.length, 1);
    assert.deepEqual(await refusals(alone(red), alone(gray)), { acceptor: undefined });
  });

  test('a CA below the CA of the fabric signs for nobody', async () => {
    const below = await testCaBelow(ca);
    const { acceptor } = await refusals(
      await testCredentials(below, { site: 'red' }),
      await plain('gray'),
    );
    assert.match(acceptor!, /certificate of routy:\/\/fabric1\/red\/red1 /);
  });

  test('exactly one URI of a node, beside any others', async () => {
    const gray = await plain('gray');
    const withUris = (...uris: string[]) => testCredentials(ca, { site: 'red', uris });
    const name = 'routy://fabric1/red/red1';
    const beside = await withUris('https://red.example/', name);
    assert.deepEqual(await refusals(beside, gray), { acceptor: undefined });
    const two = await refusals(await withUris(name, 'routy://fabric1/gray/gray1'), gray);
    assert.equal(two.acceptor, 'certificate names no node of any fabric');
  });
});
