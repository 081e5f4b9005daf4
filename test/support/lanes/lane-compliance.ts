import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import type { Lane } from '../../../packages/link/src/transport/lane.ts';
import { RoutyError } from '../../../packages/proto/src/base/errors.ts';
import { type LanePair, LaneRecorder, until } from './lane-pair.ts';

const MIB = 1024 * 1024;

/** What every transport must pass to carry a session. `makePair` gives a fresh pair each time. */
export function laneCompliance(name: string, makePair: () => Promise<LanePair>): void {
  const pairTest = (title: string, run: (pair: LanePair) => Promise<void>): void => {
    it(title, { timeout: 120_000 }, async () => {
      const pair = await makePair();
      try {
        await run(pair);
      } finally {
        await pair.close();
      }
    });
  };

  describe(`${name}: lane compliance`, () => {
    pairTest('says who is at the other end', async ({ dialled, accepted }) => {
      assert.equal(dialled.direction, 'dialled');
      assert.equal(accepted.direction, 'accepted');
      assert.equal(dialled.peer.site, 'gray');
      assert.equal(accepted.peer.site, 'red');
      assert.equal(dialled.remoteAddress, accepted.localAddress);
      assert.equal(dialled.localAddress, accepted.remoteAddress);
      assert.notEqual(dialled.security, '');
    });

    pairTest('both ends know the same 32 bytes, and another lane has others', async (pair) => {
      const other = await makePair();
      try {
        assert.equal(pair.dialled.exporter.length, 32);
        assert.deepEqual([...pair.dialled.exporter], [...pair.accepted.exporter]);
        assert.deepEqual([...other.dialled.exporter], [...other.accepted.exporter]);
        assert.notDeepEqual([...pair.dialled.exporter], [...other.dialled.exporter]);
        pair.dialled.destroy();
        assert.equal(pair.dialled.exporter.length, 32);
      } finally {
        await other.close();
      }
    });

    pairTest('carries bytes both ways in order, whatever the sizes', async (pair) => {
      const there = bind(pair.accepted);
      const back = bind(pair.dialled);
      const sent = await Promise.all([
        sendSlices(pair.dialled, back, 2 * MIB),
        sendSlices(pair.accepted, there, MIB),
      ]);
      await until('all bytes', () => there.bytes === 2 * MIB && back.bytes === MIB);
      assert.ok(there.received.equals(sent[0]));
      assert.ok(back.received.equals(sent[1]));
    });

    pairTest('leaves a chunk alone once it was handed over', async (pair) => {
      const there = bind(pair.accepted);
      bind(pair.dialled);
      const copies: Buffer[] = [];
      there.onChunk = (chunk) => copies.push(Buffer.from(chunk));
      const data = randomBytes(MIB);
      pair.dialled.write([data]);
      await until('all bytes', () => there.bytes === data.length);
      assert.ok(there.received.equals(Buffer.concat(copies)));
    });

    pairTest(
      'lends what it brings only to who takes that, and then until he has it',
      async (pair) => {
        bind(pair.dialled);
        const there = new LaneRecorder();
        pair.accepted.bind({
          onData: (chunk) => there.onData(chunk),
          onLent: (chunk) => there.onData(Buffer.from(chunk)),
          onDrain: () => there.onDrain(),
          onClose: (error) => there.onClose(error),
        });
        const data = randomBytes(2 * MIB);
        for (let at = 0; at < data.length; at += 64 * 1024)
          pair.dialled.write([data.subarray(at, at + 64 * 1024)]);
        await until('all bytes', () => there.bytes === data.length);
        assert.ok(there.received.equals(data));
      },
    );

    pairTest('keeps what came before bind', async ({ dialled, accepted }) => {
      bind(dialled);
      const data = randomBytes(100_000);
      dialled.write([data]);
      await settle();
      const there = bind(accepted);
      await until('the early bytes', () => there.bytes === data.length);
      assert.ok(there.received.equals(data));
    });

    pairTest('keeps what came before bind even when the peer has ended', async (pair) => {
      bind(pair.dialled);
      const data = randomBytes(10_000);
      pair.dialled.write([data]);
      pair.dialled.end();
      await settle();
      const there = bind(pair.accepted);
      await until('the end', () => there.closes.length === 1);
      assert.ok(there.received.equals(data));
      assert.deepEqual(there.closes, [undefined]);
    });

    pairTest('asks to wait above its mark, and drains once when empty', async (pair) => {
      const there = bind(pair.accepted);
      const here = bind(pair.dialled);
      pair.accepted.pause();
      let sent = 0;
      let more = true;
      while (more && sent < 64 * MIB) {
        more = pair.dialled.write([new Uint8Array(65_536)]);
        sent += 65_536;
      }
      assert.equal(more, false);
      assert.ok(pair.dialled.queuedBytes > 0);
      assert.equal(here.drains, 0);
      pair.accepted.resume();
      await until('all bytes', () => there.bytes === sent);
      await until('the drain', () => here.drains > 0);
      await settle();
      assert.equal(here.drains, 1);
      assert.equal(pair.dialled.queuedBytes, 0);
    });

    pairTest('does not drain when it never asked to wait', async (pair) => {
      const there = bind(pair.accepted);
      const here = bind(pair.dialled);
      for (let i = 0; i < 10; i++) {
        assert.equal(pair.dialled.write([new Uint8Array(20_000)]), true);
        await until('arrival', () => there.bytes === (i + 1) * 20_000);
      }
      await settle();
      assert.equal(here.drains, 0);
    });

    pairTest('a paused end gets nothing, and a resumed one everything', async (pair) => {
      const there = bind(pair.accepted);
      bind(pair.dialled);
      pair.accepted.pause();
      const data = randomBytes(300_000);
      pair.dialled.write([data]);
      await settle();
      const early = there.bytes;
      await settle();
      assert.equal(there.bytes, early);
      pair.accepted.resume();
      await until('all bytes', () => there.bytes === data.length);
      assert.ok(there.received.equals(data));
    });

    pairTest('a pause before bind holds', async ({ dialled, accepted }) => {
      bind(dialled);
      accepted.pause();
      const there = bind(accepted);
      dialled.write([new Uint8Array(1000)]);
      await settle();
      assert.equal(there.bytes, 0);
      accepted.resume();
      await until('the bytes', () => there.bytes === 1000);
    });

    pairTest('end sends what is queued first, and closes both ends cleanly', async (pair) => {
      const there = bind(pair.accepted);
      const here = bind(pair.dialled);
      // A byte from the peer: an end before any is a refusal to a dialler.
      pair.accepted.write([new Uint8Array(1)]);
      await until('the first byte', () => here.bytes === 1);
      const data = randomBytes(4 * MIB);
      pair.dialled.write([data]);
      pair.dialled.end();
      await until('both closed', () => there.closes.length + here.closes.length === 2);
      assert.ok(there.received.equals(data));
      assert.deepEqual([here.closes, there.closes], [[undefined], [undefined]]);
    });

    pairTest('an end is answered by the other, which sends its queue first', async (pair) => {
      const there = bind(pair.accepted);
      const here = bind(pair.dialled);
      const data = randomBytes(2 * MIB);
      pair.accepted.write([data]);
      pair.dialled.end();
      await until('both closed', () => there.closes.length + here.closes.length === 2);
      assert.ok(here.received.equals(data));
    });

    pairTest(
      'destroy ends at once with its error, once, and the peer hears of it',
      async (pair) => {
        const there = bind(pair.accepted);
        const here = bind(pair.dialled);
        pair.accepted.write([new Uint8Array(1)]);
        await until('the first byte', () => here.bytes === 1);
        const error = new RoutyError('lane-lost', 'test');
        pair.dialled.destroy(error);
        pair.dialled.destroy(new RoutyError('internal', 'too late'));
        pair.dialled.end();
        assert.equal(here.closes.length, 0, 'onClose came from inside destroy');
        await until('both closed', () => there.closes.length === 1 && here.closes.length === 1);
        await settle();
        assert.deepEqual(here.closes, [error]);
        assert.equal(there.closes.length, 1);
        assert.equal(here.late + there.late, 0);
      },
    );

    pairTest('destroy while bytes are queued does not wait for them', async (pair) => {
      bind(pair.accepted);
      const here = bind(pair.dialled);
      pair.accepted.pause();
      while (pair.dialled.write([new Uint8Array(65_536)]));
      pair.dialled.destroy();
      await until('closed', () => here.closes.length === 1, 2000);
      assert.deepEqual(here.closes, [undefined]);
    });

    pairTest('a lane destroyed before bind still reports its close', async (pair) => {
      bind(pair.dialled);
      pair.accepted.destroy();
      await settle();
      const there = bind(pair.accepted);
      assert.equal(there.closes.length, 0, 'onClose came from inside bind');
      await until('closed', () => there.closes.length === 1);
    });

    pairTest('writing to a finished lane does nothing and says wait', async (pair) => {
      const there = bind(pair.accepted);
      const here = bind(pair.dialled);
      pair.accepted.write([new Uint8Array(1)]);
      await until('the first byte', () => here.bytes === 1);
      pair.dialled.write([new Uint8Array(10)]);
      pair.dialled.end();
      assert.equal(pair.dialled.write([new Uint8Array(10)]), false);
      await until('both closed', () => there.closes.length + here.closes.length === 2);
      assert.equal(pair.dialled.write([new Uint8Array(10)]), false);
      assert.equal(there.bytes, 10);
      await settle();
      assert.deepEqual(here.closes, [undefined]);
    });

    pairTest('onData may destroy the lane, and then gets nothing more', async (pair) => {
      const there = bind(pair.accepted);
      bind(pair.dialled);
      there.onChunk = () => pair.accepted.destroy();
      pair.dialled.write([new Uint8Array(MIB)]);
      await until('closed', () => there.closes.length === 1);
      await settle();
      assert.equal(there.late, 0);
      assert.equal(there.chunks.length, 1);
    });

    pairTest('empty buffers and empty writes are harmless', async ({ dialled, accepted }) => {
      const there = bind(accepted);
      bind(dialled);
      dialled.write([]);
      dialled.write([new Uint8Array(0)]);
      dialled.write([new Uint8Array(0), Uint8Array.of(7), new Uint8Array(0)]);
      await until('the byte', () => there.bytes === 1);
      assert.deepEqual([...there.received], [7]);
    });
  });
}

function bind(lane: Lane): LaneRecorder {
  const recorder = new LaneRecorder();
  lane.bind(recorder);
  return recorder;
}

/** Sends random bytes in vectors of odd sizes, with respect for backpressure. */
async function sendSlices(lane: Lane, own: LaneRecorder, total: number): Promise<Buffer> {
  const data = randomBytes(total);
  const sizes = [1, 17, 4096, 16_384, 65_535, 100_001];
  for (let at = 0, i = 0; at < total; i++) {
    const vector: Uint8Array[] = [];
    for (let n = 0; n <= i % 5 && at < total; n++) {
      const size = sizes[(i + n) % sizes.length]!;
      vector.push(data.subarray(at, at + size));
      at += size;
    }
    const drains = own.drains;
    if (!lane.write(vector)) await until('drain', () => own.drains > drains);
  }
  return data;
}

/** Some turns of the event loop: enough for what is already under way, on any machine not stuck. */
async function settle(): Promise<void> {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setTimeout(resolve, 1));
}
