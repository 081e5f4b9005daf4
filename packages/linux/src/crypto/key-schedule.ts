import { createHmac } from 'node:crypto';
import type { CipherSuite } from './cipher-suites.ts';

/** Of a nonce in every suite of TLS 1.3 (RFC 8446 §5.3). */
export const IV_BYTES = 12;

/** What protects the records of one direction (RFC 8446 §7.3). */
export interface TrafficKeys {
  readonly key: Uint8Array;
  /** {@link IV_BYTES} long. */
  readonly iv: Uint8Array;
}

/** Key and IV of a traffic secret (RFC 8446 §7.3). The caller clears them after use. */
export function trafficKeys(suite: CipherSuite, secret: Uint8Array): TrafficKeys {
  return {
    key: hkdfExpandLabel(suite.hash, secret, 'key', suite.keyBytes),
    iv: hkdfExpandLabel(suite.hash, secret, 'iv', IV_BYTES),
  };
}

/** The traffic secret that follows one at a KeyUpdate (RFC 8446 §7.2). */
export function nextTrafficSecret(suite: CipherSuite, secret: Uint8Array): Uint8Array {
  return hkdfExpandLabel(suite.hash, secret, 'traffic upd', suite.hashBytes);
}

/** HKDF-Expand-Label of RFC 8446 §7.1 without context: nothing after the handshake has one. */
export function hkdfExpandLabel(
  hash: CipherSuite['hash'],
  secret: Uint8Array,
  label: string,
  length: number,
): Uint8Array {
  const name = new TextEncoder().encode(`tls13 ${label}`);
  const info = [length >> 8, length & 0xff, name.length, ...name, 0];
  return hkdfExpand(hash, secret, Uint8Array.from(info), length);
}

/** HKDF-Expand of RFC 5869 §2.3. */
function hkdfExpand(
  hash: CipherSuite['hash'],
  secret: Uint8Array,
  info: Uint8Array,
  length: number,
): Uint8Array {
  const out = new Uint8Array(length);
  let block: Uint8Array = new Uint8Array(0);
  for (let at = 0, counter = 1; at < length; counter++) {
    const mac = createHmac(hash, secret).update(block).update(info);
    block = mac.update(Uint8Array.of(counter)).digest();
    out.set(block.subarray(0, Math.min(block.length, length - at)), at);
    at += block.length;
  }
  block.fill(0);
  return out;
}
