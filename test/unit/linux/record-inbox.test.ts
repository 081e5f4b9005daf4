import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import { RecordInbox } from '../../../packages/linux/src/lanes/record-inbox.ts';
import type { RecordLayer } from '../../../packages/linux/src/tls/record-layer.ts';
import { recordPair, sealed } from '../../support/linux/record-pair.ts';

const KIB = 1024;

/** The records of `data`, and an inbox of the other end with the pieces that it has handed on. */
function labOf(data: Uint8Array) {
  const { client, server } = recordPair();
  const pieces: Uint8Array[] = [];
  const inbox = new RecordInbox(client, (piece) => pieces.push(Buffer.from(piece)));
  return { records: sealed(server, data), inbox, layer: client as RecordLayer, pieces };
}

/** As a socket does it: what was read is read over as soon as `take` has returned. */
function takeInParts(inbox: RecordInbox, records: Uint8Array, bytes: number): void {
  for (let at = 0; at < records.length; at += bytes) {
    const slab = Buffer.from(records.subarray(at, at + bytes));
    inbox.take(slab);
    slab.fill(0xdb);
  }
}

describe('what a read brings', () => {
  const data = randomBytes(200 * KIB);

  for (const bytes of [1, 3, 22, 1000, 16 * KIB, 17_000, 64 * KIB, 128 * KIB, 256 * KIB]) {
    test(`comes out whole in reads of ${bytes} bytes`, () => {
      const { inbox, records, pieces } = labOf(data);
      takeInParts(inbox, records, bytes);
      assert.ok(Buffer.concat(pieces).equals(data));
      // One that was begun by the read before, and all others.
      const most = 2 * Math.ceil(records.length / bytes);
      assert.ok(pieces.length <= most, `${pieces.length} pieces`);
    });
  }

  test('is one piece, whatever the number of its records', () => {
    const { inbox, records, pieces } = labOf(data);
    inbox.take(Buffer.from(records));
    assert.equal(pieces.length, 1);
  });

  test('is told in the memory that was read to, unless it was begun before', () => {
    const { client, server } = recordPair();
    const buffers: ArrayBufferLike[] = [];
    const inbox = new RecordInbox(client, (piece) => buffers.push(piece.buffer));
    const records = sealed(server, data);
    const [first, second] = [records.subarray(0, 100_000), records.subarray(100_000)].map(
      (part) => new Uint8Array(part),
    ) as [Uint8Array, Uint8Array];
    inbox.take(first);
    inbox.take(second);
    assert.equal(buffers.length, 3);
    assert.deepEqual([buffers[0] === first.buffer, buffers[2] === second.buffer], [true, true]);
    assert.ok(buffers[1] !== first.buffer && buffers[1] !== second.buffer);
  });
});

test('what came before a record that is none is handed on, and nothing of that record', () => {
  const data = randomBytes(40 * KIB);
  const { inbox, records, layer, pieces } = labOf(data);
  const bytes = Buffer.from(records);
  // Within the third record: two of 16 KiB come before it.
  bytes[2 * (16 * KIB + 22) + 100]! ^= 1;
  inbox.take(bytes);
  assert.equal(layer.failure?.alert, 'bad_record_mac');
  assert.ok(Buffer.concat(pieces).equals(data.subarray(0, 32 * KIB)));
});

test('records that bring no data bring no piece', () => {
  const { client, server } = recordPair();
  const pieces: Uint8Array[] = [];
  const inbox = new RecordInbox(client, (piece) => pieces.push(piece));
  server.updateKeys();
  server.end();
  inbox.take(sealed(server, new Uint8Array(0)));
  assert.deepEqual([pieces.length, client.isEnded], [0, true]);
  assert.equal(client.counts.keyUpdatesReceived, 1);
});
