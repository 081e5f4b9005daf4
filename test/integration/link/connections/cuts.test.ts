import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import {
  createLink,
  type Link,
  type LinkStream,
  type Peer,
} from '../../../../packages/link/src/index.ts';
import type { Candidate } from '../../../../packages/link/src/locators/index.ts';
import type { AsyncByteStream } from '../../../../packages/link/src/streams/index.ts';
import { testCa, testCredentials } from '../../../support/certificates.ts';
import { FaultProxy } from '../../../support/faults/fault-proxy.ts';
import { LOOPBACK, until } from '../../../support/lanes/lane-pair.ts';
import { identity, textOf } from '../../../support/link-lab.ts';

const TIMEOUT = { timeout: 60_000 };
const TRANSPORTS = ['tls', 'tcp', 'unix'] as const;

/** Each way. */
const TOTAL_BYTES = 3_000_000;
const CHUNK_BYTES = 50_000;
/** A cut each time so many more bytes have arrived, whichever way. */
const CUT_EVERY_BYTES = 500_000;
/** A path that holds bytes, so that cuts lose some. */
const BYTES_PER_SECOND = 12_000_000;

interface CutLab {
  readonly red: Link;
  readonly gray: Link;
  readonly proxy: FaultProxy;
  readonly peer: Peer;
}

/** Red dials gray by way of a proxy that kills connections. */
async function cutLab(
  t: TestContext,
  transport: (typeof TRANSPORTS)[number],
  lanes: number,
): Promise<CutLab> {
  const [red, gray] = await links(transport);
  t.after(() => Promise.all([red.close(), gray.close()]));
  const insecure = { insecure: transport === 'tcp' };
  const folder = await mkdtemp(join(tmpdir(), 'routy-cuts-'));
  t.after(() => rm(folder, { recursive: true }));
  const [own, path] = [join(folder, 'own'), join(folder, 'proxy')];
  const at = transport === 'unix' ? ({ kind: 'unix', path: own } as const) : LOOPBACK;
  const { address } = await gray.listen({ transport, address: at, ...insecure });
  assert.ok(typeof address === 'object');
  const proxy = await FaultProxy.start(
    address.kind === 'unix' ? { target: { path: own }, path } : { target: address },
  );
  t.after(() => proxy.close());
  proxy.setFaults('both', { bytesPerSecond: BYTES_PER_SECOND });
  const there: Candidate['address'] =
    address.kind === 'unix'
      ? { kind: 'unix', path }
      : { kind: 'tcp', host: proxy.host, port: proxy.port };
  const peer = red.dial({ transport, address: there }, { lanes, ...insecure });
  return { red, gray, proxy, peer };
}

async function links(transport: string): Promise<[red: Link, gray: Link]> {
  if (transport !== 'tls')
    return [createLink({ identity: identity('red') }), createLink({ identity: identity('gray') })];
  const ca = await testCa();
  const make = async (site: string) =>
    createLink({ credentials: await testCredentials(ca, { site }) });
  return [await make('red'), await make('gray')];
}

/** Cuts whatever there is each time enough has arrived. */
class Cutter {
  readonly #proxy: FaultProxy;
  #arrived = 0;
  #nextCut = CUT_EVERY_BYTES;
  #cutting: Promise<void> | undefined;
  cuts = 0;
  lostBytes = 0;

  constructor(proxy: FaultProxy) {
    this.#proxy = proxy;
  }

  arrived(bytes: number): void {
    this.#arrived += bytes;
    if (this.#arrived < this.#nextCut || this.#cutting !== undefined) return;
    this.#nextCut = this.#arrived + CUT_EVERY_BYTES;
    this.#cutting = this.#cut();
  }

  async #cut(): Promise<void> {
    const how = this.cuts % 2 === 0 ? 'reset' : 'close';
    this.lostBytes += await this.#proxy.cut({ how, tailBytes: 1 });
    this.cuts += 1;
    this.#cutting = undefined;
  }
}

/** Sends all of `content` and half-closes, while it takes what comes to the end. */
async function exchange(
  bytes: AsyncByteStream,
  content: Buffer,
  cutter: Cutter,
): Promise<{ readonly length: number; readonly digest: string }> {
  const sending = (async () => {
    for (let at = 0; at < content.length; at += CHUNK_BYTES)
      await bytes.write(content.subarray(at, at + CHUNK_BYTES));
    bytes.end();
  })();
  const hash = createHash('sha256');
  let length = 0;
  for await (const chunk of bytes) {
    hash.update(chunk);
    length += chunk.length;
    cutter.arrived(chunk.length);
  }
  await sending;
  return { length, digest: hash.digest('hex') };
}

const shape = (content: Buffer) => ({
  length: content.length,
  digest: createHash('sha256').update(content).digest('hex'),
});

for (const transport of TRANSPORTS) {
  describe(`lanes of ${transport} that die in the middle`, TIMEOUT, () => {
    for (const lanes of [1, 2]) {
      test(`a transfer both ways over ${lanes} of them arrives whole, and nothing twice`, async (t) => {
        const { gray, proxy, peer } = await cutLab(t, transport, lanes);
        const [out, back] = [randomBytes(TOTAL_BYTES), randomBytes(TOTAL_BYTES)];
        const cutter = new Cutter(proxy);
        const told: string[] = [];
        let taken: Promise<unknown> | undefined;
        gray.protocol({
          name: 'exchange',
          accept: (stream) => {
            taken = exchange(stream.bytes(), back, cutter);
          },
        });
        await peer.ready();
        for (const event of ['suspended', 'resumed', 'down', 'up'] as const)
          peer.on(event, () => told.push(event));
        const stream = await peer.open({ protocol: 'exchange' });
        const came = await exchange(stream.bytes(), out, cutter);
        assert.deepEqual(came, shape(back));
        assert.deepEqual(await taken, shape(out));
        assert.ok(cutter.cuts >= 5, `${cutter.cuts} cuts`);
        assert.ok(cutter.lostBytes > 0, 'no cut has lost a byte');
        // It was one session all the time, and it was without a lane.
        assert.ok(!told.includes('down'), told.join());
        assert.ok(told.includes('suspended') && told.includes('resumed'), told.join());
        await until('the stream is over', () => peer.stats!.streams === 0);
      });
    }

    test('messages come in their order, each once', async (t) => {
      const { gray, proxy, peer } = await cutLab(t, transport, 1);
      const cutter = new Cutter(proxy);
      const count = 2_000;
      const filler = 'x'.repeat(1_500);
      gray.protocol({ name: 'numbers', accept: (stream) => numbers(stream) });
      const numbers = async (stream: LinkStream) => {
        const messages = textOf(stream);
        for await (const text of messages) await messages.send(text);
        messages.end();
      };
      const messages = textOf(await peer.open({ protocol: 'numbers' }));
      const sending = (async () => {
        for (let n = 0; n < count; n++) await messages.send(`${n} ${filler}`);
        messages.end();
      })();
      let next = 0;
      for await (const text of messages) {
        assert.equal(text, `${next++} ${filler}`);
        cutter.arrived(text.length);
      }
      await sending;
      assert.equal(next, count);
      assert.ok(cutter.cuts >= 3, `${cutter.cuts} cuts`);
    });
  });
}
