import assert from 'node:assert/strict';
import { connect, createServer, type Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { after, before, describe, test } from 'node:test';
import { createServer as createTlsServer, connect as tlsConnect } from 'node:tls';
import type { TlsCredentials } from '../../../../packages/link/src/transport/lane.ts';
import { RoutyError } from '../../../../packages/proto/src/base/errors.ts';
import { Random } from '../../../sim/random.ts';
import { testCa, testCredentials } from '../../../support/certificates.ts';
import { HANDSHAKE_ENDS } from './handshake-ends.ts';
import { until } from '../../../support/lanes/lane-pair.ts';
import { listening } from './listening.ts';

// Whatever is changed on the way, a handshake comes to an end: nobody throws, nobody is forgotten, and
// whoever is turned away is so with a reason. A seed gives the same changes each time.
const ROUNDS = 150;
/** Less than a handshake is long, either way. */
const CHANGED_MAX = 1500;

let red: TlsCredentials;
let gray: TlsCredentials;
const closers: (() => void)[] = [];
before(async () => {
  const ca = await testCa();
  red = await testCredentials(ca, { site: 'red' });
  gray = await testCredentials(ca, { site: 'gray' });
});
after(() => {
  for (const close of closers.reverse()) close();
});

for (const ends of HANDSHAKE_ENDS) {
  describe(`changed handshakes, ${ends.name}`, { timeout: 120_000 }, () => {
    test('of those who dial', async () => {
      const end = await ends.listen(gray, 300);
      const codes = new Set<string>();
      for (let round = 0; round < ROUNDS; round++) {
        const random = new Random(1, round);
        const port = await changingRelay(end.port, random, 'client');
        const client = tlsConnect({
          ...{ port, host: '127.0.0.1', ALPNProtocols: ['routy/1'], rejectUnauthorized: false },
          ...{ key: red.keyPem, cert: red.certChainPem },
        });
        client.on('error', () => {});
        client.resume();
        const verdicts = () => end.refusals.length + end.peers.length;
        await until(`a verdict in round ${round}`, () => verdicts() > round);
        assert.equal(verdicts(), round + 1, 'one verdict for each');
        client.destroy();
      }
      for (const { code, reason } of end.refusals) {
        codes.add(code);
        assert.ok(reason.length > 0, code);
      }
      for (const code of ['tls-failed', 'not-tls', 'closed']) assert.ok(codes.has(code), code);
      await ends.dial(end.port, red);
      await end.close();
    });

    test('of those who are dialled', async () => {
      const server = createTlsServer({
        ...{ key: gray.keyPem, cert: gray.certChainPem, ca: gray.caPem },
        ...{ ALPNProtocols: ['routy/1'], requestCert: true, rejectUnauthorized: false },
      });
      server.on('secureConnection', (socket) => socket.on('error', () => {}).resume());
      server.on('tlsClientError', () => {});
      const target = await listening(server, closers);
      const codes = new Set<string>();
      for (let round = 0; round < ROUNDS; round++) {
        const port = await changingRelay(target, new Random(2, round), 'server');
        const failure = await ends.dial(port, red, 1000).then(
          () => undefined,
          (error: Error) => error,
        );
        if (failure === undefined) continue;
        assert.ok(failure instanceof RoutyError, failure.stack);
        codes.add(failure.code);
      }
      for (const code of ['tls-failed', 'tls-not-tls', 'tls-closed']) {
        assert.ok(codes.has(code), `${code} of ${[...codes].join()}`);
      }
      await ends.dial(target, red);
    });
  });
}

/** For one connection: what one side says is changed in one place, cut short, or said twice. */
async function changingRelay(
  port: number,
  random: Random,
  side: 'client' | 'server',
): Promise<number> {
  const at = random.skewed(0, CHANGED_MAX);
  const how = random.int(0, 5);
  const stride = random.chance(0.5) ? random.int(1, 400) : Number.POSITIVE_INFINITY;
  const relay = createServer({ noDelay: true }, (client) => {
    const target = connect({ port, host: '127.0.0.1', noDelay: true });
    for (const [one, other] of [
      [client, target],
      [target, client],
    ] as const) {
      one.on('error', () => {});
      one.on('close', () => other.destroy());
    }
    const changed = side === 'client' ? client : target;
    const other = side === 'client' ? target : client;
    other.pipe(changed);
    void passChanged(changed, other, { at, how, stride, random });
    relay.close();
  });
  return listening(relay, closers);
}

interface Change {
  /** The byte at which it begins. */
  readonly at: number;
  readonly how: number;
  readonly stride: number;
  readonly random: Random;
}

async function passChanged(from: Socket, to: Socket, change: Change): Promise<void> {
  let passed = 0;
  try {
    for await (const chunk of from as AsyncIterable<Buffer>) {
      const index = change.at - passed;
      const isHere = index >= 0 && index < chunk.length;
      passed += chunk.length;
      const bytes = isHere ? changedBytes(chunk, index, change) : chunk;
      for (let at = 0; at < bytes.length; at += change.stride) {
        to.write(bytes.subarray(at, Math.min(bytes.length, at + change.stride)));
        if (change.stride < bytes.length) await nextTurn();
      }
      if (isHere && change.how === 4) to.end();
      if (isHere && change.how === 5) to.resetAndDestroy();
    }
  } catch {
    // Its end was told by `close`.
  }
  to.end();
}

function changedBytes(bytes: Buffer, at: number, { how, random }: Change): Buffer {
  const [head, tail] = [bytes.subarray(0, at), bytes.subarray(at)];
  switch (how) {
    case 0:
    case 1: {
      const copy = Buffer.from(bytes);
      copy[at]! ^= 1 << random.int(0, 7);
      return copy;
    }
    case 2:
      return Buffer.concat([head, Buffer.alloc(random.int(1, 40), random.int(0, 255)), tail]);
    case 3:
      return Buffer.concat([head, tail, tail]);
    default:
      return head;
  }
}
