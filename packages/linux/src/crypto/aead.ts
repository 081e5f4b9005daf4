import type { CipherSuite } from './cipher-suites.ts';

/** Of a tag in every suite of TLS 1.3 (RFC 8446 §5.2). */
export const TAG_BYTES = 16;

/** Seals records with one key. Views of buffers go in and out; nothing is kept of them. */
export interface Sealer {
  /** A record begins. `nonce` is 12 bytes; `additional` is authenticated and not encrypted. */
  begin(nonce: Uint8Array, additional: Uint8Array): void;
  /** Encrypts the next piece to `out`, from `at`; as many bytes as the piece has. */
  update(piece: Uint8Array, out: Uint8Array, at: number): void;
  /** Ends the record: {@link TAG_BYTES} of tag to `out`, from `at`. */
  finish(out: Uint8Array, at: number): void;
  /** Clears the key. Nothing may be called after it. */
  destroy(): void;
}

/** Opens records with one key. */
export interface Opener {
  /**
   * Decrypts `sealed`, ciphertext and tag, in its place; the plaintext is the shorter by the tag. False
   * when the tag does not fit: then nothing of a plaintext is left in it.
   */
  open(nonce: Uint8Array, additional: Uint8Array, sealed: Uint8Array): boolean;
  /** Clears the key. Nothing may be called after it. */
  destroy(): void;
}

/** An implementation of the ciphers of TLS 1.3. The caller clears the keys it gave. */
export interface Aead {
  sealer(suite: CipherSuite, key: Uint8Array): Sealer;
  opener(suite: CipherSuite, key: Uint8Array): Opener;
}
