import { type Aead, TAG_BYTES } from '../crypto/aead.ts';
import type { CipherSuite } from '../crypto/cipher-suites.ts';
import { IV_BYTES, nextTrafficSecret, trafficKeys } from '../crypto/key-schedule.ts';
import { APPLICATION_DATA, HEADER_BYTES, lengthAt, PROTECTION_BYTES } from './record-format.ts';

/** What one direction of a connection starts from. */
export interface TrafficOptions {
  readonly aead: Aead;
  readonly suite: CipherSuite;
  /** Becomes this one's: it is cleared when the next one takes its place. */
  readonly secret: Uint8Array;
  /** The sequence number of the next record; not 0 where records went before. */
  readonly sequence: number;
}

/** The key of one direction, made by whoever uses it. */
interface DirectionKey {
  destroy(): void;
}

/** Secret, key and sequence number of one direction (RFC 8446 §5.3, §7.2, §7.3). */
abstract class Traffic<K extends DirectionKey> {
  protected readonly aead: Aead;
  protected readonly suite: CipherSuite;
  protected key: K;
  /** Of the record at hand. */
  protected readonly nonce = new Uint8Array(new ArrayBuffer(IV_BYTES));
  protected readonly header = new Uint8Array(new ArrayBuffer(HEADER_BYTES));
  readonly #nonceView = new DataView(this.nonce.buffer);
  #secret: Uint8Array;
  #ivHigh = 0;
  #ivLow = 0;
  #sequence: number;

  constructor({ aead, suite, secret, sequence }: TrafficOptions) {
    this.aead = aead;
    this.suite = suite;
    this.#secret = secret;
    this.#sequence = sequence;
    this.key = this.#keyOfSecret();
  }

  /** Records that the present key has protected. */
  get sequence(): number {
    return this.#sequence;
  }

  /** Goes on with the next secret (RFC 8446 §7.2); nothing of the last is kept. */
  update(): void {
    const next = nextTrafficSecret(this.suite, this.#secret);
    this.clear();
    this.#secret = next;
    this.#sequence = 0;
    this.key = this.#keyOfSecret();
  }

  /** Clears secret, key and IV. */
  clear(): void {
    this.#secret.fill(0);
    this.key.destroy();
    this.nonce.fill(0);
    this.#ivHigh = 0;
    this.#ivLow = 0;
  }

  protected abstract newKey(key: Uint8Array): K;

  /** Puts together the nonce of the next record (RFC 8446 §5.3). */
  protected nextNonce(): void {
    const sequence = this.#sequence++;
    this.#nonceView.setUint32(4, this.#ivHigh ^ Math.floor(sequence / 2 ** 32));
    this.#nonceView.setUint32(8, this.#ivLow ^ (sequence >>> 0));
  }

  #keyOfSecret(): K {
    const { key, iv } = trafficKeys(this.suite, this.#secret);
    this.nonce.set(iv);
    this.#ivHigh = this.#nonceView.getUint32(4);
    this.#ivLow = this.#nonceView.getUint32(8);
    const made = this.newKey(key);
    key.fill(0);
    iv.fill(0);
    return made;
  }
}

/** Protects the records of the direction in which this side sends. */
export class SendTraffic extends Traffic<ReturnType<Aead['sealer']>> {
  #at = 0;

  protected override newKey(key: Uint8Array) {
    return this.aead.sealer(this.suite, key);
  }

  /** A record of `length` bytes of content begins at `at`, where its header is written. */
  begin(length: number, out: Uint8Array, at: number): void {
    const { header } = this;
    const rest = length + PROTECTION_BYTES;
    header[0] = APPLICATION_DATA;
    header[1] = 3;
    header[2] = 3;
    header[3] = rest >> 8;
    header[4] = rest & 0xff;
    for (let i = 0; i < HEADER_BYTES; i++) out[at + i] = header[i]!;
    this.#at = at + HEADER_BYTES;
    this.nextNonce();
    this.key.begin(this.nonce, header);
  }

  /** The next bytes of its content. */
  add(piece: Uint8Array, out: Uint8Array): void {
    this.key.update(piece, out, this.#at);
    this.#at += piece.length;
  }

  /** Ends it by its content type; where the next one may begin. */
  finish(type: number, out: Uint8Array): number {
    this.add(TYPES[type]!, out);
    this.key.finish(out, this.#at);
    return this.#at + TAG_BYTES;
  }
}

/** Content types as the pieces that end a record. */
const TYPES = Array.from({ length: 256 }, (_, type) => {
  const piece = new Uint8Array(new ArrayBuffer(1));
  piece[0] = type;
  return piece;
});

/** Opens the records of the direction in which the peer sends. */
export class ReceiveTraffic extends Traffic<ReturnType<Aead['opener']>> {
  protected override newKey(key: Uint8Array) {
    return this.aead.opener(this.suite, key);
  }

  /**
   * Opens the whole record at `at` in its place. False when its tag does not fit, and then there is no
   * plaintext in it.
   */
  open(bytes: Uint8Array, at: number): boolean {
    for (let i = 0; i < HEADER_BYTES; i++) this.header[i] = bytes[at + i]!;
    const start = at + HEADER_BYTES;
    this.nextNonce();
    return this.key.open(
      this.nonce,
      this.header,
      bytes.subarray(start, start + lengthAt(bytes, at)),
    );
  }
}
