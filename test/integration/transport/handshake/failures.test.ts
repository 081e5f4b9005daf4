import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import {
  type ConnectionOptions,
  createServer as createTlsServer,
  type TlsOptions,
  connect as tlsConnect,
} from 'node:tls';
import type { TlsCredentials } from '../../../../packages/link/src/transport/lane.ts';
import { TLS_PROFILE } from '../../../../packages/link/src/transport/tls/tls-context.ts';
import { RoutyError } from '../../../../packages/proto/src/base/errors.ts';
import { testCa, testCredentials } from '../../../support/certificates.ts';
import { type CuttingOptions, cuttingRelay } from '../../../support/faults/cutting-relay.ts';
import { type AcceptingEnd, HANDSHAKE_ENDS, type HandshakeEnds } from './handshake-ends.ts';
import { until } from '../../../support/lanes/lane-pair.ts';
import { listening } from './listening.ts';

// What goes wrong in a handshake has the same code and the same words whichever data plane makes it, and
// however its bytes come. Whole, in parts of a record, and byte by byte.
const STRIDES = [Number.POSITIVE_INFINITY, 100, 1];

/** Long enough for a handshake byte by byte on a busy machine. */
const PATIENT_MS = 10_000;

const closers: (() => void)[] = [];
after(() => {
  for (const close of closers.reverse()) close();
});

let papers: Papers;
before(async () => {
  papers = await newPapers();
});

/** Who proves nothing, and one that does. */
async function newPapers() {
  const ca = await testCa();
  const [otherCa, sameNameCa] = await Promise.all([
    testCa('fabric1', { name: 'another CA' }),
    testCa(),
  ]);
  const of = (options: Parameters<typeof testCredentials>[1], by = ca) =>
    testCredentials(by, { site: 'gray', ...options });
  return {
    red: await testCredentials(ca, { site: 'red' }),
    good: await of({}),
    otherCa: await of({}, otherCa),
    sameNameCa: await of({}, sameNameCa),
    expired: await of({ notBeforeDays: -2, notAfterDays: -1 }),
    early: await of({ notBeforeDays: 0.5 }),
    otherFabric: await of({ fabric: 'fabric2' }),
    nobody: await of({ uris: ['https://gray.example/'] }),
    otherUse: await of({ usages: ['emailProtection'] }),
  };
}

type Papers = Awaited<ReturnType<typeof newPapers>>;
type BadPaper = Exclude<keyof Papers, 'red' | 'good'>;

/** What is said of papers, on either end. */
const BAD_PAPERS: readonly (readonly [BadPaper, string, RegExp])[] = [
  ['otherCa', 'other-ca', /gray1 is signed by another CA$/],
  ['sameNameCa', 'other-ca', /gray1 is signed by another CA$/],
  ['expired', 'expired', /gray1 has expired \(on \d{4}-/],
  ['early', 'not-yet-valid', /gray1 is not valid before \d{4}-.*: compare the clocks$/],
  ['otherFabric', 'other-fabric', /is of fabric "fabric2", this is fabric "fabric1"$/],
  ['nobody', 'no-identity', /certificate names no node of any fabric$/],
  ['otherUse', 'other-use', /gray1 is not made for this use \(extended key usage\)$/],
];

describe('what the one that dialled is told', { timeout: 120_000 }, () => {
  for (const [name, , reason] of BAD_PAPERS) {
    test(`certificate: ${name}`, async () => {
      const port = await tlsServer({ ...tlsPapers(papers[name]) });
      await sameFailure(port, 'peer-not-verified', reason);
    });
  }

  const otherTls: readonly (readonly [string, TlsOptions, string, RegExp])[] = [
    [
      'no certificate',
      { key: undefined, cert: undefined },
      'tls-failed',
      /handshake with .* failed: .*alert handshake failure$/,
    ],
    ['no ALPN', { ALPNProtocols: undefined }, 'tls-alpn', /speaks TLS but not routy\/1$/],
    ['another ALPN', { ALPNProtocols: ['h2'] }, 'tls-alpn', /speaks TLS but not routy\/1$/],
    [
      'TLS 1.2',
      { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2', ciphers: 'ECDHE+AESGCM' },
      'tls-version',
      /does not offer TLS 1\.3$/,
    ],
  ];
  for (const [name, options, code, text] of otherTls) {
    test(name, async () => {
      const port = await tlsServer({ ...tlsPapers(papers.good), ...options });
      await sameFailure(port, code, text);
    });
  }

  for (const words of [
    'HTTP/1.1 400 Bad Request\r\n\r\n',
    'SSH-2.0-OpenSSH_9.2\r\n',
    '\x16\x16\x16\x16\x16\x16',
  ]) {
    test(`what is no TLS: ${JSON.stringify(words)}`, async () => {
      const port = await tcpServer((socket) => socket.write(words));
      await sameFailure(port, 'tls-not-tls', /^what answers at .* does not speak TLS$/);
    });
  }

  // In its first record, in its certificate, and before its last byte.
  for (const server of [3, 100, 800]) {
    for (const how of ['end', 'reset'] as const) {
      test(`cut off after ${server} bytes: ${how}`, async () => {
        const port = await tlsServer(tlsPapers(papers.good));
        await sameFailure(port, 'tls-closed', /hung up during the TLS handshake$/, {
          server,
          how,
        });
      });
    }
  }

  for (const server of [3, 800]) {
    test(`nothing comes after ${server} bytes`, async () => {
      const port = await tlsServer(tlsPapers(papers.good));
      const cut = { server, how: 'stall' } as const;
      const text = /did not answer within 300 ms: TLS handshake$/;
      await sameFailure(port, 'dial-timeout', text, cut, 300);
    });
  }

  test('nothing is wrong', async () => {
    const port = await tlsServer(tlsPapers(papers.good));
    for (const stride of STRIDES) {
      const relay = await cuttingRelay(port, { stride });
      for (const ends of HANDSHAKE_ENDS) await ends.dial(relay.port, papers.red);
      relay.close();
    }
  });

  /** By both data planes, however the server's bytes are cut. */
  async function sameFailure(
    port: number,
    code: string,
    text: RegExp,
    cut: CuttingOptions = {},
    tlsMs = PATIENT_MS,
  ): Promise<void> {
    for (const stride of STRIDES) {
      const relay = await cuttingRelay(port, { stride, ...cut });
      const told = await Promise.all(
        HANDSHAKE_ENDS.map((ends) => dialledFailure(ends, relay.port, tlsMs)),
      );
      relay.close();
      assert.equal(told[0]!.code, code, `${stride}: ${told[0]!.message}`);
      assert.match(told[0]!.message, text);
      for (const other of told) assert.deepEqual(other, told[0], `bytes in parts of ${stride}`);
    }
  }

  async function dialledFailure(ends: HandshakeEnds, port: number, tlsMs: number) {
    const error = await ends.dial(port, papers.red, tlsMs).then(
      () => assert.fail(`${ends.name}: it came in`),
      (reason: unknown) => reason,
    );
    assert.ok(error instanceof RoutyError, `${ends.name}: ${String(error)}`);
    const { code, message, hint } = error;
    return { code, message, hint };
  }
});

describe('what the one that was dialled tells its log', { timeout: 120_000 }, () => {
  for (const [name, cause, reason] of BAD_PAPERS) {
    test(`certificate: ${name}`, () =>
      sameRefusal(tlsClient({ ...tlsPapers(papers[name]) }), 'peer-not-verified', reason, cause));
  }

  test('no certificate', () =>
    sameRefusal(
      tlsClient({}),
      'peer-not-verified',
      /^no certificate was presented$/,
      'no-certificate',
    ));

  const offers = /^the client offers neither routy\/1 nor routy-enrol\/1$/;
  test('no ALPN', () =>
    sameRefusal(
      tlsClient({ ...tlsPapers(papers.good), ALPNProtocols: undefined }),
      'alpn',
      offers,
    ));
  test('another ALPN', () =>
    sameRefusal(tlsClient({ ...tlsPapers(papers.good), ALPNProtocols: ['h2'] }), 'alpn', offers));
  test('TLS 1.2', () =>
    sameRefusal(
      tlsClient({ ...tlsPapers(papers.good), maxVersion: 'TLSv1.2', minVersion: 'TLSv1.2' }),
      'tls-version',
      /^the client does not offer TLS 1\.3$/,
    ));

  test('a client that does not accept our certificate, and says so', () =>
    sameRefusal(
      opensslClient(papers.otherCa.caPem),
      'tls-failed',
      /^TLS handshake failed: tlsv1 alert unknown ca$/,
    ));

  const plain: readonly (readonly [string, Buffer])[] = [
    ['HTTP', Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n')],
    ['SSH', Buffer.from('SSH-2.0-OpenSSH_9.2\r\n')],
    ['a PROXY header', Buffer.from('PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n')],
    ['zeros', Buffer.alloc(4096)],
    ['ones', Buffer.alloc(4096, 0xff)],
    [
      'a record of nonsense',
      Buffer.concat([Buffer.from('1603014000', 'hex'), Buffer.alloc(0x4000, 0x41)]),
    ],
  ];
  for (const [name, bytes] of plain) {
    test(`what is no TLS: ${name}`, () =>
      sameRefusal(
        tcpClient((socket) => socket.write(bytes)),
        'not-tls',
        /^not TLS \(.+\)$/,
      ));
  }

  const hungUp = /^hung up during the TLS handshake$/;
  test('somebody who only knocks', () =>
    sameRefusal(
      tcpClient((socket) => socket.end()),
      'closed',
      hungUp,
    ));
  // In the hello, behind it, and in the certificate.
  for (const client of [3, 300, 700]) {
    for (const how of ['end', 'reset'] as const) {
      test(`cut off after ${client} bytes: ${how}`, () =>
        sameRefusal(tlsClient(tlsPapers(papers.good)), 'closed', hungUp, undefined, {
          client,
          how,
        }));
    }
  }

  for (const client of [3, 700]) {
    test(`nothing comes after ${client} bytes`, () =>
      sameRefusal(
        tlsClient(tlsPapers(papers.good)),
        'handshake-timeout',
        /^no TLS handshake within 400 ms$/,
        undefined,
        { client, how: 'stall' },
        400,
      ));
  }

  test('nothing is wrong', async () => {
    for (const ends of HANDSHAKE_ENDS) {
      const end = await ends.listen(papers.red);
      for (const stride of STRIDES) {
        const relay = await cuttingRelay(end.port, { stride });
        const client = tlsClient(tlsPapers(papers.good))(relay.port);
        await until('it comes in', () => end.peers.length > 0);
        assert.deepEqual([end.peers.pop(), end.refusals], ['gray1', []]);
        client.destroy();
        relay.close();
      }
      await end.close();
    }
  });

  /** By both data planes, however the client's bytes are cut. */
  async function sameRefusal(
    client: (port: number) => Client,
    code: string,
    reason: RegExp,
    cause?: string,
    cut: CuttingOptions = {},
    handshakeMs = PATIENT_MS,
  ): Promise<void> {
    for (const stride of STRIDES) {
      const told = await Promise.all(
        HANDSHAKE_ENDS.map(async (ends) => {
          const end = await ends.listen(papers.red, handshakeMs);
          const refusal = await refusalOf(end, client, { stride, ...cut });
          await end.close();
          return refusal;
        }),
      );
      assert.deepEqual([told[0]!.code, told[0]!.cause], [code, cause], told[0]!.reason);
      assert.match(told[0]!.reason, reason);
      for (const other of told) assert.deepEqual(other, told[0], `bytes in parts of ${stride}`);
    }
  }

  async function refusalOf(
    end: AcceptingEnd,
    client: (port: number) => Client,
    cut: CuttingOptions,
  ) {
    const relay = await cuttingRelay(end.port, cut);
    const socket = client(relay.port);
    await until('it is turned away', () => end.refusals.length > 0 || end.peers.length > 0);
    socket.destroy();
    relay.close();
    assert.deepEqual([end.peers, end.refusals.length], [[], 1]);
    const { code, reason, cause, bytes } = end.refusals[0]!;
    // How much had come by then is a matter of time, unless all has that was sent.
    const isWhole = cut.how !== 'reset' && cut.how !== 'stall';
    return { code, reason, cause, ...(isWhole && { bytes }) };
  }
});

/** Whoever dials a listener, until it is destroyed. */
interface Client {
  destroy(): unknown;
}

/** `openssl s_client` that trusts no other CA; node:tls would hang up without an alert. */
function opensslClient(caPem: string): (port: number) => Client {
  const directory = mkdtempSync(join(tmpdir(), 'routy-handshake-'));
  closers.push(() => rmSync(directory, { recursive: true }));
  const path = join(directory, 'ca.crt');
  writeFileSync(path, caPem);
  return (port) => {
    const to = ['-connect', `127.0.0.1:${port}`, '-alpn', 'routy/1', '-tls1_3'];
    const options = ['s_client', ...to, '-CAfile', path, '-verify_return_error'];
    const child = spawn('openssl', options, { stdio: 'ignore' });
    return { destroy: () => child.kill('SIGKILL') };
  };
}

function tlsPapers({ keyPem, certChainPem }: TlsCredentials) {
  return { key: keyPem, cert: certChainPem };
}

/** A server of TLS with whatever is wrong with it. */
async function tlsServer(options: TlsOptions): Promise<number> {
  const server = createTlsServer({ ...TLS_PROFILE, ALPNProtocols: ['routy/1'], ...options });
  server.on('secureConnection', (socket) => socket.on('error', () => {}).resume());
  server.on('tlsClientError', () => {});
  return listening(server, closers);
}

async function tcpServer(onConnection: (socket: Socket) => void): Promise<number> {
  return listening(
    createServer((socket) => {
      socket.on('error', () => {});
      socket.resume();
      onConnection(socket);
    }),
    closers,
  );
}

function tlsClient(options: ConnectionOptions): (port: number) => Socket {
  return (port) => {
    const socket = tlsConnect({
      ...{ port, host: '127.0.0.1', ALPNProtocols: ['routy/1'], rejectUnauthorized: false },
      ...options,
    });
    socket.on('error', () => {});
    return socket.resume();
  };
}

function tcpClient(onConnect: (socket: Socket) => void): (port: number) => Socket {
  return (port) => {
    const socket = connect({ port, host: '127.0.0.1' }, () => onConnect(socket));
    socket.on('error', () => {});
    return socket.resume();
  };
}
