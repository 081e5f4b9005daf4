import {
  type CipherGCM,
  type CipherGCMTypes,
  createCipheriv,
  createDecipheriv,
  createSecretKey,
  type KeyObject,
} from 'node:crypto';
import { type Aead, type Opener, type Sealer, TAG_BYTES } from './aead.ts';
import type { CipherSuite } from './cipher-suites.ts';

/**
 * The ciphers by node:crypto: the reference, and for where the symbols of OpenSSL cannot be had. It
 * copies every record and makes some objects for it.
 */
export const nodeAead: Aead = {
  sealer: (suite, key) => new NodeSealer(suite, createSecretKey(key)),
  opener: (suite, key) => new NodeOpener(suite, createSecretKey(key)),
};

const OPTIONS = { authTagLength: TAG_BYTES };

/** The types of node know ChaCha20-Poly1305 by another name of the same shape. */
function nodeName(suite: CipherSuite): CipherGCMTypes {
  return suite.cipher as CipherGCMTypes;
}

class NodeSealer implements Sealer {
  readonly #suite: CipherSuite;
  #key: KeyObject | undefined;
  #cipher: CipherGCM | undefined;

  constructor(suite: CipherSuite, key: KeyObject) {
    this.#suite = suite;
    this.#key = key;
  }

  begin(nonce: Uint8Array, additional: Uint8Array): void {
    this.#cipher = createCipheriv(nodeName(this.#suite), this.#key!, nonce, OPTIONS);
    this.#cipher.setAAD(additional);
  }

  update(piece: Uint8Array, out: Uint8Array, at: number): void {
    out.set(this.#cipher!.update(piece), at);
  }

  finish(out: Uint8Array, at: number): void {
    this.#cipher!.final();
    out.set(this.#cipher!.getAuthTag(), at);
    this.#cipher = undefined;
  }

  /** OpenSSL clears the key when the collector takes its object. */
  destroy(): void {
    this.#key = undefined;
    this.#cipher = undefined;
  }
}

class NodeOpener implements Opener {
  readonly #suite: CipherSuite;
  #key: KeyObject | undefined;

  constructor(suite: CipherSuite, key: KeyObject) {
    this.#suite = suite;
    this.#key = key;
  }

  open(nonce: Uint8Array, additional: Uint8Array, sealed: Uint8Array): boolean {
    const length = sealed.length - TAG_BYTES;
    const decipher = createDecipheriv(nodeName(this.#suite), this.#key!, nonce, OPTIONS);
    decipher.setAAD(additional);
    decipher.setAuthTag(sealed.subarray(length));
    const plaintext = decipher.update(sealed.subarray(0, length));
    try {
      decipher.final();
    } catch {
      plaintext.fill(0);
      return false;
    }
    sealed.set(plaintext);
    return true;
  }

  destroy(): void {
    this.#key = undefined;
  }
}
