import { createHash, type Hash, randomBytes } from 'node:crypto';
import type { Aead } from '../../../packages/linux/src/crypto/aead.ts';
import type { RecordLayer } from '../../../packages/linux/src/tls/record-layer.ts';
import { recordPair } from '../../support/linux/record-pair.ts';

/** What one `seal` gets: records of 16 KiB, and a last one that is not full. */
const CHUNK_BYTES = 16 * 16 * 1024 - 1000;

/** Every chunk begins elsewhere in it. */
const POOL_BYTES = 8 * 1024 * 1024;

const COUNTER_BYTES = 8;

export interface RecordTransferOptions {
  readonly aead: Aead;
  readonly suiteName: string;
  /** For all chunks together; rounded up to whole ones. */
  readonly bytes: number;
  /** After each so many, the sender goes on with its next key and asks for the receiver's. */
  readonly updateBytes: number;
  /** Called after each update. */
  onUpdate?(sentBytes: number): void;
}

export interface RecordTransferResult {
  readonly bytes: number;
  readonly records: number;
  /** Of the sender, and of the receiver, which answers. */
  readonly keyUpdates: readonly [number, number];
  /** SHA-256 of what was sent and of what has come, in hex. */
  readonly sent: string;
  readonly received: string;
}

/**
 * Sends bytes through one pair of record layers, in memory, with the next key every so often. Each chunk is
 * numbered, so that one that is lost, doubled or out of its place gives another hash.
 */
export class RecordTransfer {
  readonly #options: RecordTransferOptions;
  readonly #sender: RecordLayer;
  readonly #receiver: RecordLayer;
  readonly #sentHash: Hash = createHash('sha256');
  readonly #receivedHash: Hash = createHash('sha256');
  readonly #pool = randomBytes(POOL_BYTES + CHUNK_BYTES);
  readonly #out: Buffer;
  #receivedBytes = 0;
  #records = 0;

  constructor(options: RecordTransferOptions) {
    this.#options = options;
    const { client, server } = recordPair(options);
    this.#sender = client;
    this.#receiver = server;
    this.#out = Buffer.alloc(client.sealedBytesMax(CHUNK_BYTES));
  }

  /** @throws when a layer fails, or what has come is not what was sent */
  run(): RecordTransferResult {
    const { bytes, updateBytes, onUpdate } = this.#options;
    let sent = 0;
    for (let number = 0; sent < bytes; number++) {
      const updates = Math.floor(sent / updateBytes);
      this.#send(this.#chunk(number));
      sent += CHUNK_BYTES;
      if (Math.floor(sent / updateBytes) === updates) continue;
      this.#updateKeys();
      onUpdate?.(sent);
    }
    this.#end();
    if (this.#receivedBytes !== sent) {
      throw new Error(`${this.#receivedBytes} of ${sent} bytes have come`);
    }
    return {
      bytes: sent,
      records: this.#records,
      keyUpdates: [this.#sender.counts.keyUpdatesSent, this.#receiver.counts.keyUpdatesSent],
      sent: this.#sentHash.digest('hex'),
      received: this.#receivedHash.digest('hex'),
    };
  }

  #chunk(number: number): Buffer {
    const at = (number * 4099) % POOL_BYTES;
    const chunk = this.#pool.subarray(at, at + CHUNK_BYTES);
    chunk.writeBigUInt64BE(BigInt(number), CHUNK_BYTES - COUNTER_BYTES);
    return chunk;
  }

  #send(chunk: Buffer): void {
    this.#sentHash.update(chunk);
    pass(this.#sender, this.#receiver, [chunk], this.#out, (piece) => {
      this.#receivedHash.update(piece);
      this.#receivedBytes += piece.length;
      this.#records += 1;
    });
  }

  /** The request is answered, and what the receiver says behind its answer has the next key. */
  #updateKeys(): void {
    const { keyUpdatesReceived } = this.#sender.counts;
    this.#sender.updateKeys();
    pass(this.#sender, this.#receiver, [], this.#out, unexpected);
    const heard: Uint8Array[] = [];
    pass(this.#receiver, this.#sender, [ANSWER], this.#out, (piece) => heard.push(piece));
    if (this.#sender.counts.keyUpdatesReceived !== keyUpdatesReceived + 1) {
      throw new Error('the request for the next key was not answered');
    }
    if (!ANSWER.equals(Buffer.concat(heard))) throw new Error('the receiver was not understood');
  }

  #end(): void {
    this.#sender.end();
    pass(this.#sender, this.#receiver, [], this.#out, unexpected);
    if (!this.#receiver.isEnded) throw new Error('no close_notify has come');
    for (const layer of [this.#sender, this.#receiver]) layer.clear();
  }
}

const ANSWER = Buffer.from('with the next key');

function unexpected(): void {
  throw new Error('data that nobody sent');
}

function pass(
  from: RecordLayer,
  to: RecordLayer,
  pieces: readonly Uint8Array[],
  out: Uint8Array,
  onPlaintext: (piece: Uint8Array) => void,
): void {
  const bytes = out.subarray(0, from.seal(pieces, out));
  const used = to.receive(bytes, onPlaintext);
  if (to.failure !== undefined) throw new Error(to.failure.text);
  if (used !== bytes.length) throw new Error(`${used} of ${bytes.length} bytes were used`);
}
