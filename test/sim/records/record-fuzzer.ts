import { createHash } from 'node:crypto';
import type { Aead } from '../../../packages/linux/src/crypto/aead.ts';
import { type CipherSuite, cipherSuite } from '../../../packages/linux/src/crypto/cipher-suites.ts';
import { RecordLayer } from '../../../packages/linux/src/tls/record-layer.ts';
import { SendTraffic } from '../../../packages/linux/src/tls/traffic.ts';
import { record } from '../../support/linux/record-pair.ts';
import { Random } from '../random.ts';

const RECORDS_MAX = 6;
const SUITES = ['TLS_AES_128_GCM_SHA256', 'TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256'];

/** Stands in every plaintext of a record, and must never be seen of a bad one. */
const MARK = Buffer.from('plaintext of a record');

/** An input that did what must not be. */
export class RecordFuzzFailure extends Error {
  readonly index: number;

  constructor(index: number, message: string) {
    super(`input ${index}: ${message}`);
    this.index = index;
  }
}

/** What an honest peer sends, and what it means. */
interface Script {
  readonly bytes: Buffer;
  readonly starts: readonly number[];
  readonly plaintext: Buffer;
}

/**
 * Feeds changed records to record layers. Input N of a seed is always the same. One in four has right
 * tags around content that no honest peer sends; the others are changed as anybody on the way can.
 */
export class RecordFuzzer {
  readonly outcomes = new Map<string, number>();
  readonly #seed: number;
  readonly #aead: Aead;
  readonly #scripts = new Map<string, Script>();

  constructor(seed: number, aead: Aead) {
    this.#seed = seed;
    this.#aead = aead;
  }

  /** @throws RecordFuzzFailure */
  run(index: number): void {
    const random = new Random(this.#seed, index);
    const suite = cipherSuite(SUITES[below(random, SUITES.length)]!)!;
    try {
      if (below(random, 4) === 0) this.#runCrooked(random, suite);
      else this.#runChanged(random, suite);
    } catch (error) {
      throw new RecordFuzzFailure(index, error instanceof Error ? error.message : String(error));
    }
  }

  /** Bytes changed on the way: what is delivered is what was sent, up to the change. */
  #runChanged(random: Random, suite: CipherSuite): void {
    const script = this.#script(suite, below(random, 16));
    const bytes = change(random, script);
    const layer = this.#receiver(suite);
    const seen = Buffer.alloc(script.plaintext.length + 1);
    let length = 0;
    readAll(random, layer, bytes, (piece) => {
      if (length + piece.length > seen.length) throw new Error('more was delivered than was sent');
      seen.set(piece, length);
      length += piece.length;
    });
    if (script.plaintext.compare(seen, 0, length, 0, length) !== 0) {
      throw new Error('what was delivered is not what was sent');
    }
    layer.receiveEnd();
    // Good records were opened in their place; there must be no other plaintext there.
    if (marksIn(bytes) > marksIn(seen.subarray(0, length))) {
      throw new Error('plaintext of a bad record is left');
    }
    this.#count(layer);
    layer.clear();
  }

  /** Anything with a right tag: it is refused or ignored, and only data is delivered. */
  #runCrooked(random: Random, suite: CipherSuite): void {
    const traffic = new SendTraffic({
      ...{ aead: this.#aead, suite, secret: secretOf(suite), sequence: 0 },
    });
    let length = 0;
    const records = Array.from({ length: 1 + below(random, RECORDS_MAX) }, () => {
      const type = below(random, 3) === 0 ? below(random, 256) : 20 + below(random, 5);
      const content = Buffer.from(bytesOf(random, below(random, 40)));
      if (type === 22 && below(random, 2) === 0)
        content.set([24, 0, 0, 1].slice(0, content.length));
      length += content.length;
      return record(traffic, type, content, below(random, 3) === 0 ? 1 + below(random, 300) : 0);
    });
    const layer = this.#receiver(suite);
    let delivered = 0;
    readAll(random, layer, Buffer.concat(records), (piece) => {
      delivered += piece.length;
    });
    if (delivered > length) throw new Error('more was delivered than was sent');
    layer.receiveEnd();
    this.#count(layer);
    layer.clear();
    traffic.clear();
  }

  #receiver(suite: CipherSuite): RecordLayer {
    return new RecordLayer({
      ...{ isClient: true, aead: this.#aead, suite },
      ...{ sendSecret: secretOf(suite), receiveSecret: secretOf(suite) },
    });
  }

  /** A few records of data, with updates of the key between; sealed once. */
  #script(suite: CipherSuite, number: number): Script {
    const name = `${suite.name} ${number}`;
    const known = this.#scripts.get(name);
    if (known !== undefined) return known;
    const random = new Random(number);
    const layer = this.#receiver(suite);
    const records: Buffer[] = [];
    const plaintexts: Buffer[] = [];
    for (let n = 1 + below(random, RECORDS_MAX); n > 0; n--) {
      const content = Buffer.concat([MARK, bytesOf(random, below(random, 200))]);
      if (below(random, 4) === 0) layer.updateKeys();
      if (n === 1) layer.end();
      const last = n === 1 ? [] : [content];
      const out = Buffer.alloc(layer.sealedBytesMax(content.length));
      records.push(out.subarray(0, layer.seal(last, out)));
      plaintexts.push(...last);
    }
    const starts = records.map((_, at) => Buffer.concat(records.slice(0, at)).length);
    const script = { bytes: Buffer.concat(records), starts, plaintext: Buffer.concat(plaintexts) };
    this.#scripts.set(name, script);
    return script;
  }

  #count({ failure, isEnded }: RecordLayer): void {
    const outcome = failure?.alert ?? failure?.kind ?? (isEnded ? 'close_notify' : 'open');
    this.outcomes.set(outcome, (this.outcomes.get(outcome) ?? 0) + 1);
  }
}

/** Always a new copy: a layer clears its own. */
function secretOf(suite: CipherSuite): Uint8Array {
  const known = SECRETS.get(suite.name) ?? newSecret(suite);
  return Uint8Array.from(known);
}

const SECRETS = new Map<string, Uint8Array>();

function newSecret(suite: CipherSuite): Uint8Array {
  const secret = createHash('sha512').update(suite.name).digest().subarray(0, suite.hashBytes);
  SECRETS.set(suite.name, secret);
  return secret;
}

function below(random: Random, limit: number): number {
  return random.int(0, limit - 1);
}

function bytesOf(random: Random, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => random.int(0, 255));
}

function marksIn(bytes: Buffer): number {
  let count = 0;
  for (let at = bytes.indexOf(MARK); at >= 0; at = bytes.indexOf(MARK, at + 1)) count += 1;
  return count;
}

/** A copy with one thing wrong, or nothing. */
function change(random: Random, { bytes, starts }: Script): Buffer {
  const copy = Buffer.from(bytes);
  const at = below(random, copy.length);
  const start = starts[below(random, starts.length)]!;
  switch (below(random, 8)) {
    case 0:
      return copy;
    case 1:
      copy[at] = below(random, 256);
      return copy;
    case 2:
      return copy.subarray(0, at);
    case 3:
      return Buffer.concat([
        copy.subarray(0, at),
        bytesOf(random, below(random, 20)),
        copy.subarray(at),
      ]);
    case 4:
      return Buffer.concat([
        copy.subarray(0, at),
        copy.subarray(Math.min(copy.length, at + 1 + below(random, 9))),
      ]);
    case 5:
      // A record again, or out of its place.
      return Buffer.concat([
        copy.subarray(0, start),
        copy.subarray(starts[below(random, starts.length)]!),
      ]);
    case 6:
      copy[start + 3 + below(random, 2)]! ^= 1 << below(random, 8);
      return copy;
    default:
      copy[at]! ^= 1 << below(random, 8);
      return copy;
  }
}

/** Hands on the bytes as a socket would, in parts; what is incomplete comes again. */
function readAll(
  random: Random,
  layer: RecordLayer,
  bytes: Buffer,
  onPlaintext: (piece: Uint8Array) => void,
): void {
  let from = 0;
  for (let to = 0; to < bytes.length; ) {
    to = Math.min(bytes.length, to + 1 + below(random, 400));
    const used = layer.receive(bytes.subarray(from, to), onPlaintext);
    if (used > to - from || used < 0) throw new Error(`${used} of ${to - from} bytes were used`);
    from += used;
  }
}
