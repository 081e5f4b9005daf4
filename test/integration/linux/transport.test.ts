import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import {
  createLink,
  type LinkStream,
  type MessageCodec,
  type Peer,
} from '../../../packages/link/src/index.ts';
import type { Lane, TlsCredentials } from '../../../packages/link/src/transport/lane.ts';
import { loadNativeTransport } from '../../../packages/linux/src/index.ts';
import { testCa, testCredentials } from '../../support/certificates.ts';
import { FaultProxy } from '../../support/faults/fault-proxy.ts';
import { laneCompliance } from '../../support/lanes/lane-compliance.ts';
import { type LanePair, LOOPBACK, until } from '../../support/lanes/lane-pair.ts';
import { planeMissing } from '../../support/linux/native-plane.ts';

const KIB = 1024;
const PLANES = ['native', 'portable'] as const;
type Plane = (typeof PLANES)[number];

/** The larger ones come in several records and several frames. */
const SIZES = [0, 1, 100, 5_000, 16 * KIB, 64 * KIB, 100_000, 700_000];
const codecs: Record<number, MessageCodec<Uint8Array>> = {
  1: { encode: (message) => message, decode: (bytes) => bytes },
};

/** What is inside of it differs from message to message. */
function messageOf(n: number): Buffer {
  return Buffer.alloc(SIZES[n % SIZES.length]!, `message ${n}, `);
}

describe('the native transport', { timeout: 120_000, skip: planeMissing }, () => {
  laneCompliance('the native transport', nativePair);

  for (const dialler of PLANES) {
    for (const listener of PLANES) {
      if (dialler === 'portable' && listener === 'portable') continue;
      describe(`a link that dials ${dialler} to one that listens ${listener}`, () => {
        links(dialler, listener);
      });
    }
  }

  test('that is closed while its lanes are up carries them on', async (t) => {
    const { red, gray, address } = await linksOf(t, 'native', 'native');
    gray.link.protocol({ name: 'echo', accept: echo });
    const peer = await red.link.dial({ transport: 'tls', address }).ready();
    red.close();
    gray.close();
    assert.ok((await exchanged(peer)).equals(messageOf(5)));
  });
});

test('where it is missing the reason is one line, and nothing is thrown', () => {
  const load = () => ({ missing: 'koffi does not load' });
  const loaded = loadNativeTransport({} as TlsCredentials, load);
  assert.deepEqual(loaded, { missing: 'koffi does not load' });
});

function links(dialler: Plane, listener: Plane): void {
  test('carries messages of all sizes both ways, and half-closes', async (t) => {
    const { red, gray, address } = await linksOf(t, dialler, listener);
    const count = 5 * SIZES.length;
    let halfClosed = false;
    gray.link.protocol({
      name: 'all',
      accept: async (stream) => {
        const messages = stream.messages({ codecs });
        const taken: Uint8Array[] = [];
        for await (const message of messages) taken.push(message);
        halfClosed = true;
        // Only behind the end of the other side: what was taken is still what came.
        for (const message of taken) await messages.send(Buffer.from(message));
        messages.end();
      },
    });
    const peer = await red.link.dial({ transport: 'tls', address }).ready();
    const stream = (await peer.open({ protocol: 'all' })).messages({ codecs });
    for (let n = 0; n < count; n++) await stream.send(messageOf(n));
    assert.equal(halfClosed, false);
    stream.end();
    let back = 0;
    for await (const message of stream) {
      assert.ok(messageOf(back).equals(message), `message ${back}`);
      back += 1;
    }
    assert.equal(back, count);
    await stream.finished();
  });

  test('loses no message when its lane is cut, and takes none twice', async (t) => {
    const { red, gray, address } = await linksOf(t, dialler, listener);
    const proxy = await FaultProxy.start({ target: address });
    t.after(() => proxy.close());
    proxy.setFaults('both', { bytesPerSecond: 20_000_000 });
    gray.link.protocol({ name: 'echo', accept: echo });
    const { host, port } = proxy;
    const there = { kind: 'tcp', host, port } as const;
    const peer = await red.link.dial({ transport: 'tls', address: there }).ready();
    let resumed = 0;
    peer.on('resumed', () => {
      resumed += 1;
    });
    const stream = (await peer.open({ protocol: 'echo' })).messages({ codecs });
    const count = 5 * SIZES.length;
    const sending = (async () => {
      for (let n = 0; n < count; n++) await stream.send(messageOf(n));
      stream.end();
    })();
    let back = 0;
    for await (const message of stream) {
      assert.ok(messageOf(back).equals(message), `message ${back}`);
      back += 1;
      if (back === SIZES.length) await proxy.cut({ how: 'reset', tailBytes: 1 });
      if (back === 3 * SIZES.length) await proxy.cut({ how: 'close', tailBytes: 1 });
    }
    await sending;
    assert.equal(back, count);
    await until('both cuts were outlived', () => resumed === 2);
  });
}

type Linked = Awaited<ReturnType<typeof nodeOf>>;

interface Linking {
  readonly red: Linked;
  readonly gray: Linked;
  readonly address: { readonly kind: 'tcp'; readonly host: string; readonly port: number };
}

async function linksOf(t: TestContext, dialler: Plane, listener: Plane): Promise<Linking> {
  const ca = await testCa();
  const red = await nodeOf(dialler, await testCredentials(ca, { site: 'red' }));
  const gray = await nodeOf(listener, await testCredentials(ca, { site: 'gray' }));
  t.after(async () => {
    await Promise.all([red.link.close(), gray.link.close()]);
    red.close();
    gray.close();
  });
  const { address } = await gray.link.listen({ transport: 'tls', address: LOOPBACK });
  return { red, gray, address: address as Linking['address'] };
}

async function nodeOf(plane: Plane, credentials: TlsCredentials) {
  if (plane === 'portable') return { link: createLink({ credentials }), close: () => undefined };
  const { transport, close } = nativeOf(credentials);
  return { link: createLink({ credentials, transports: { tls: transport } }), close };
}

function nativeOf(credentials: TlsCredentials) {
  const native = loadNativeTransport(credentials);
  if ('missing' in native) throw new Error(native.missing);
  return native;
}

async function echo(stream: LinkStream): Promise<void> {
  const messages = stream.messages({ codecs });
  for await (const message of messages) await messages.send(Buffer.from(message));
  messages.end();
}

async function exchanged(peer: Peer): Promise<Buffer> {
  const stream = (await peer.open({ protocol: 'echo' })).messages({ codecs });
  await stream.send(messageOf(5));
  stream.end();
  const answer = await stream.receive();
  return answer.done ? Buffer.alloc(0) : Buffer.from(answer.value);
}

/** Both ends of a lane, made by the port that a link uses. */
async function nativePair(): Promise<LanePair> {
  const ca = await testCa();
  const red = nativeOf(await testCredentials(ca, { site: 'red' }));
  const gray = nativeOf(await testCredentials(ca, { site: 'gray' }));
  const lanes: Lane[] = [];
  const faults: string[] = [];
  const listening = await gray.transport.listen(LOOPBACK, {
    onLane: (lane) => lanes.push(lane),
    onRefused: ({ reason }) => faults.push(reason),
    onError: (error) => faults.push(error.message),
    onReopened: () => undefined,
  });
  const dialled = await red.transport.dial(listening.address, AbortSignal.timeout(10_000));
  await until(`the accepted end; ${faults}`, () => lanes.length === 1);
  const [accepted] = lanes as [Lane];
  return {
    dialled,
    accepted,
    close: async () => {
      dialled.destroy();
      accepted.destroy();
      await listening.close();
      red.close();
      gray.close();
    },
  };
}
