import assert from 'node:assert/strict';
import { createServer, type Server, type Socket } from 'node:net';
import { after, before, describe, mock, test } from 'node:test';
import { dialLane } from '../../../packages/link/src/transport/dial.ts';
import { DIAL_TIMEOUTS } from '../../../packages/link/src/transport/tcp/dial-steps.ts';
import type { TlsCredentials } from '../../../packages/link/src/transport/lane.ts';
import { parseProxy } from '../../../packages/link/src/transport/proxy.ts';
import { RoutyError } from '../../../packages/proto/src/base/errors.ts';
import { testCa, testCredentials } from '../../support/certificates.ts';
import {
  LaneRecorder,
  listeningPort,
  type TestListener,
  testListener,
  until,
} from '../../support/lanes/lane-pair.ts';
import { httpProxy, socksProxy } from './proxy-servers.ts';

/** A name that only the proxy can make sense of. */
const PEER = { kind: 'tcp', host: 'gray.invalid', port: 7443 } as const;

describe('dialling through a proxy', { timeout: 60_000 }, () => {
  let red: TlsCredentials;
  let gray: TestListener;

  before(async () => {
    const ca = await testCa();
    red = await testCredentials(ca, { site: 'red' });
    gray = await testListener(await testCredentials(ca, { site: 'gray' }));
  });
  after(() => gray.close());

  for (const [scheme, start] of [
    ['http', httpProxy],
    ['socks5', socksProxy],
  ] as const) {
    test(`${scheme}: bytes flow, and the proxy resolves the name`, async () => {
      const proxy = await start({ target: gray.listener.address });
      await assertCarries(`${scheme}://127.0.0.1:${proxy.port}`);
      assert.deepEqual(proxy.asked, ['gray.invalid:7443']);
      proxy.close();
    });

    test(`${scheme}: user and password`, async () => {
      const proxy = await start({ target: gray.listener.address, auth: 'me@home:p:ss w' });
      await assertCarries(`${scheme}://me%40home:p%3Ass%20w@127.0.0.1:${proxy.port}`);
      proxy.close();
    });

    test(`${scheme}: wrong or no password is refused, and no message repeats it`, async () => {
      const proxy = await start({ target: gray.listener.address, auth: 'me:right' });
      for (const userInfo of ['me:wr0ng@', '']) {
        const error = await failure(`${scheme}://${userInfo}127.0.0.1:${proxy.port}`);
        assert.equal(error.code, 'dial-proxy-refused');
        assert.match(
          error.message,
          /^proxy 127\.0\.0\.1:\d+ did not connect to gray.invalid:7443: /,
        );
        assert.match(error.hint ?? '', /user and password into "via"/);
        assert.doesNotMatch(`${error.message} ${error.hint}`, /wr0ng/);
      }
      proxy.close();
    });

    test(`${scheme}: a peer the proxy cannot reach`, async () => {
      const proxy = await start({ target: { host: '127.0.0.1', port: await closedPort() } });
      const error = await failure(`${scheme}://127.0.0.1:${proxy.port}`);
      assert.equal(error.code, 'dial-proxy-refused');
      proxy.close();
    });

    test(`${scheme}: a silent proxy is given up in time`, async () => {
      const server = await answering(() => undefined);
      const error = await failure(`${scheme}://127.0.0.1:${server.port}`, 100);
      assert.equal(error.code, 'dial-timeout');
      assert.match(error.message, /within 100 ms: waiting for proxy 127\.0\.0\.1:\d+ to connect/);
      await until('the connection is dropped', () => server.open() === 0);
      server.close();
    });

    test(`${scheme}: a proxy that hangs up`, async () => {
      const server = await answering((socket) => socket.end());
      const error = await failure(`${scheme}://127.0.0.1:${server.port}`);
      assert.equal(error.code, 'dial-proxy-refused');
      server.close();
    });

    test(`${scheme}: the caller stops it`, async () => {
      const server = await answering(() => controller.abort());
      const controller = new AbortController();
      const dialling = dialLane({
        address: PEER,
        via: `${scheme}://127.0.0.1:${server.port}`,
        credentials: red,
        signal: controller.signal,
      });
      await assert.rejects(dialling, { code: 'dial-aborted' });
      await until('the connection is dropped', () => server.open() === 0);
      server.close();
    });

    test(`${scheme}: a proxy that is not there`, async () => {
      const error = await failure(`${scheme}://127.0.0.1:${await closedPort()}`);
      assert.equal(error.code, 'dial-refused');
      assert.match(error.message, /cannot connect to proxy 127\.0\.0\.1:/);
    });
  }

  const badAnswers: [string, string, RegExp][] = [
    ['a forbidden port', 'HTTP/1.1 403 Forbidden\r\n\r\n', /it answered 403 Forbidden$/],
    ['an answer without words', 'HTTP/1.1 502\r\n\r\n', /it answered 502$/],
    ['something else than HTTP', 'SSH-2.0-OpenSSH_9.2\r\n', /its answer is not HTTP$/],
    [
      'an endless head',
      `HTTP/1.1 200 OK\r\n${'x: y\r\n'.repeat(9000)}`,
      /longer than 16384 bytes$/,
    ],
    [
      'control characters in the reason',
      'HTTP/1.1 500 a\u007f\u0080b\r\n\r\n',
      /it answered 500 a b$/,
    ],
  ];
  for (const [title, answer, expected] of badAnswers) {
    test(`http: ${title}`, async () => {
      const server = await answering((socket) => socket.write(answer, 'latin1'));
      const error = await failure(`http://127.0.0.1:${server.port}`);
      assert.equal(error.code, 'dial-proxy-refused');
      assert.match(error.message, expected);
      server.close();
    });
  }

  test('socks5: no', async () => {
    const server = await answering((socket, data) => {
      socket.write(data.length <= 4 ? Uint8Array.of(5, 0) : Uint8Array.of(5, 2, 0, 1, 0, 0, 0, 0));
    });
    const error = await failure(`socks5://127.0.0.1:${server.port}`);
    assert.equal(error.code, 'dial-proxy-refused');
    assert.match(error.message, /SOCKS5: .*NotAllowed/);
    server.close();
  });

  test('socks5: what the library holds on to is let go soon after our own deadline', async () => {
    const server = await answering((socket) => socket.end());
    const timers = mock.method(globalThis, 'setTimeout');
    await failure(`socks5://127.0.0.1:${server.port}`);
    const delays = timers.mock.calls.map((call) => Number(call.arguments[1]));
    timers.mock.restore();
    const beyond = delays.filter((ms) => ms > DIAL_TIMEOUTS.totalMs);
    assert.equal(beyond.length, 1, `timers of ${delays.join(', ')} ms`);
    assert.ok(beyond[0]! <= 2 * DIAL_TIMEOUTS.totalMs, `it is held for ${beyond[0]} ms`);
    server.close();
  });

  test('an IPv6 peer is asked for as such', async () => {
    const http = await httpProxy({ target: gray.listener.address });
    const socks = await socksProxy({ target: gray.listener.address });
    const address = { kind: 'tcp', host: '2001:db8::7', port: 7443 } as const;
    for (const via of [`http://127.0.0.1:${http.port}`, `socks5://127.0.0.1:${socks.port}`]) {
      (await dialLane({ address, via, credentials: red })).destroy();
    }
    assert.deepEqual(http.asked, ['[2001:db8::7]:7443']);
    assert.deepEqual(socks.asked, ['[2001:0db8:0000:0000:0000:0000:0000:0007]:7443']);
    http.close();
    socks.close();
  });

  async function assertCarries(via: string): Promise<void> {
    const count = gray.lanes.length;
    const lane = await dialLane({ address: PEER, via, credentials: red });
    assert.equal(lane.peer.site, 'gray');
    await until('the accepted end', () => gray.lanes.length > count);
    const there = new LaneRecorder();
    const here = new LaneRecorder();
    gray.lanes[count]!.bind(there);
    lane.bind(here);
    lane.write([Buffer.from('there')]);
    gray.lanes[count]!.write([Buffer.from('back')]);
    await until('bytes', () => there.bytes === 5 && here.bytes === 4);
    lane.destroy();
    await until('closed', () => there.closes.length === 1);
  }

  async function failure(via: string, proxyMs = 5000): Promise<RoutyError> {
    const dialling = dialLane({ address: PEER, via, credentials: red, timeouts: { proxyMs } });
    const error = await dialling.then(
      (lane) => lane.destroy(),
      (reason: unknown) => reason,
    );
    assert.ok(error instanceof RoutyError, `no RoutyError but ${String(error)}`);
    return error;
  }
});

test('what "via" may be', () => {
  assert.deepEqual(parseProxy('http://proxy'), {
    kind: 'http',
    host: 'proxy',
    port: 80,
    user: undefined,
    password: undefined,
  });
  const full = parseProxy('socks5://a%40b:c%3Ad@[2001:db8::1]:9000/');
  assert.deepEqual(full, {
    kind: 'socks5',
    host: '2001:db8::1',
    port: 9000,
    user: 'a@b',
    password: 'c:d',
  });
  assert.equal(parseProxy('socks5://proxy').port, 1080);
  for (const bad of [
    'proxy:3128',
    '',
    'https://proxy',
    'ftp://proxy:1',
    'http://',
    'http://proxy/path',
    'http://proxy:1?x',
    'http://u:%zz@proxy:1',
  ]) {
    assert.throws(() => parseProxy(bad), { code: 'dial-proxy-invalid' }, bad);
  }
});

interface Answering {
  readonly port: number;
  open(): number;
  close(): void;
}

/** A server that does one thing with whatever it is sent. */
async function answering(answer: (socket: Socket, data: Buffer) => void): Promise<Answering> {
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => undefined);
    socket.on('data', (data) => answer(socket, data));
  });
  server.listen(0, '127.0.0.1');
  const port = await listeningPort(server);
  const close = () => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  return { port, open: () => sockets.size, close };
}

/** A port that was free a moment ago. */
async function closedPort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  const port = await listeningPort(server);
  await new Promise((resolve) => server.close(resolve));
  return port;
}
