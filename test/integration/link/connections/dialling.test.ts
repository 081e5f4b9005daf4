import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { describe, type TestContext, test } from 'node:test';
import { createLink, type Link, type LinkOptions } from '../../../../packages/link/src/index.ts';
import type { Candidate } from '../../../../packages/link/src/locators/index.ts';
import type { RoutyError } from '../../../../packages/proto/src/base/index.ts';
import { listeningPort, until } from '../../../support/lanes/lane-pair.ts';
import { ask, echo, identity } from '../../../support/link-lab.ts';

const TIMEOUT = { timeout: 120_000 };
const INSECURE = { insecure: true } as const;

type Site = 'red' | 'gray' | 'blue';

/** Links over plain TCP, which need no certificates. */
function rig(t: TestContext) {
  const links: Link[] = [];
  t.after(() => Promise.all(links.map((link) => link.close())));
  const make = (site: Site, options: Partial<LinkOptions> = {}) => {
    const link = createLink({ identity: identity(site), ...options });
    link.protocol({ name: 'echo', accept: echo });
    links.push(link);
    return link;
  };
  /** A node that listens on that host; port 0 for a free one, which it says. */
  const at = async (site: Site, host: string, port = 0) => {
    const link = make(site);
    const tcp = { kind: 'tcp', host, port } as const;
    const { address } = await link.listen({ transport: 'tcp', address: tcp, ...INSECURE });
    return (address as { readonly port: number }).port;
  };
  return { make, at };
}

function tcp(host: string, port: number, peer?: string): Candidate {
  const candidate = { transport: 'tcp', address: { kind: 'tcp', host, port } } as const;
  return peer === undefined ? candidate : { ...candidate, peer };
}

describe('address translation of a link', TIMEOUT, () => {
  test('holds for networks of both families, for what is dialled and what is located', async (t) => {
    const { make, at } = rig(t);
    const port = await at('gray', '127.0.0.2');
    const port6 = await at('blue', '::1');
    const red = make('red', {
      dialling: {
        nat: [
          { inside: '10.7.0.0/24', outside: '127.0.0.0/24' },
          { inside: 'fd07::/64', outside: '::/64' },
        ],
      },
    });
    red.locate('cluster', () => [tcp('fd07::1', port6)]);
    const gray = red.dial(tcp('10.7.0.2', port), INSECURE);
    const blue = red.dial({ cluster: 'blue' }, INSECURE);
    assert.equal(await ask(await gray.open({ protocol: 'echo' }), 'four'), 'four');
    assert.equal(await ask(await blue.open({ protocol: 'echo' }), 'six'), 'six');
    assert.deepEqual([gray.name, gray.remoteAddress], ['gray/gray1', `127.0.0.2:${port}`]);
    assert.deepEqual([blue.name, blue.remoteAddress], ['blue/blue1', `[::1]:${port6}`]);
  });

  test('is that of the peer: two sites may have the same addresses inside', async (t) => {
    const { make, at } = rig(t);
    const port = await at('gray', '127.0.0.2');
    await at('blue', '127.0.0.3', port);
    const red = make('red', {
      dialling: {
        nat: [
          { inside: '10.0.0.1', outside: '127.0.0.2', peer: 'gray' },
          { inside: '10.0.0.1', outside: '127.0.0.3', peer: 'blue/blue1' },
        ],
      },
    });
    for (const [peer, name] of [
      // Of a site, and of a node, which has the rules of its site too.
      ['gray', 'gray/gray1'],
      ['gray/gray1', 'gray/gray1'],
      ['blue/blue1', 'blue/blue1'],
    ] as const) {
      const dialled = await red.dial(tcp('10.0.0.1', port, peer), INSECURE).ready();
      assert.equal(dialled.name, name);
      dialled.close();
    }
  });

  test('that cannot be meant is refused where the link is made', () => {
    const nat = [{ inside: '10.0.0.0/24', outside: '10.1.0.0/25' }];
    const made = () => createLink({ identity: identity('red'), dialling: { nat } });
    assert.throws(made, { code: 'nat-map-invalid', hint: /same length/ });
  });
});

describe('candidates of a link', TIMEOUT, () => {
  test('that name a peer are taken from nobody else, and the next is tried', async (t) => {
    const { make, at } = rig(t);
    const [grayPort, bluePort] = [await at('gray', '127.0.0.1'), await at('blue', '127.0.0.1')];
    const red = make('red');
    const wrong = tcp('127.0.0.1', bluePort, 'gray');
    const lost = red.dial(wrong, INSECURE);
    const [failure] = (await once(lost, 'attempt')) as [RoutyError];
    assert.equal(failure.code, 'peer-not-verified');
    assert.match(failure.message, /is routy:\/\/f\/blue\/blue1, and gray was to be there/);
    lost.close();
    const peer = await red
      .dial([wrong, tcp('127.0.0.1', grayPort, 'gray/gray1')], INSECURE)
      .ready();
    assert.equal(peer.name, 'gray/gray1');
  });

  test('of both families begin with the one that is preferred', async (t) => {
    const { make, at } = rig(t);
    const port = await at('gray', '127.0.0.1');
    await at('blue', '::1', port);
    const both = [tcp('127.0.0.1', port), tcp('::1', port)];
    const nameBy = async (preferredFamily?: 'ipv4' | 'ipv6') => {
      const dialling = preferredFamily === undefined ? {} : { preferredFamily };
      const red = make('red', { dialling });
      red.locate('any', () => both);
      const { name } = await red.dial({ any: 1 }, INSECURE).ready();
      await red.close();
      return name;
    };
    assert.equal(await nameBy(), 'blue/blue1');
    assert.equal(await nameBy('ipv6'), 'blue/blue1');
    assert.equal(await nameBy('ipv4'), 'gray/gray1');
  });

  test('race: one that is silent is overtaken, stays in the race until it is lost, and is let go', async (t) => {
    const { make, at } = rig(t);
    const port = await at('gray', '127.0.0.1');
    const silent: Socket[] = [];
    let closed = 0;
    let closedBefore: number | undefined;
    // In front of one that answers: the silent one is still waited for when this one is tried.
    const front = createServer((socket) => {
      closedBefore ??= closed;
      const on = connect(port, '127.0.0.1');
      for (const each of [socket, on]) each.on('error', () => undefined);
      socket.pipe(on).pipe(socket);
    }).listen(0, '127.0.0.1');
    t.after(() => front.close());
    const server = createServer((socket) => {
      silent.push(
        socket
          .on('error', () => undefined)
          .on('close', () => closed++)
          .resume(),
      );
    }).listen(0, '127.0.0.1');
    t.after(() => server.close());
    const red = make('red', { dialling: { attemptDelayMs: 10 } });
    const first = tcp('127.0.0.1', await listeningPort(server));
    const nobody = createServer().listen(0, '127.0.0.1');
    const gone = tcp('127.0.0.1', await listeningPort(nobody));
    nobody.close();
    const last = await listeningPort(front);
    const peer = red.dial([first, gone, tcp('127.0.0.1', last)], INSECURE);
    await peer.ready();
    assert.equal(peer.remoteAddress, `127.0.0.1:${last}`);
    assert.deepEqual([silent.length, closedBefore], [1, 0]);
    await until('the silent one is let go', () => closed === 1);
  });

  test('a failure starts the next at once, and when all fail the error says why of each', async (t) => {
    const { make } = rig(t);
    const red = make('red', { dialling: { attemptDelayMs: 10_000 } });
    const pigeon = { transport: 'pigeon', address: 'roof' };
    red.locate('loft', () => [pigeon, tcp('127.0.0.1', 1)]);
    const peer = red.dial({ loft: 1 });
    const [failure] = (await once(peer, 'attempt')) as [RoutyError];
    assert.equal(failure.code, 'transport-unknown');
    assert.match(failure.message, /no transport pigeon; plain TCP encrypts nothing/);
  });

  for (const dialling of [
    { attemptDelayMs: 9 },
    { attemptDelayMs: Number.NaN },
    { preferredFamily: 'ipx' },
  ] as unknown as Required<LinkOptions>['dialling'][]) {
    test(`${JSON.stringify(dialling)} is refused where the link is made`, () => {
      const made = () => createLink({ identity: identity('red'), dialling });
      assert.throws(made, { code: 'argument-invalid', hint: /has to be/ });
    });
  }
});
