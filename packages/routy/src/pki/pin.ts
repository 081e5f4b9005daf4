import { createHash, timingSafeEqual, type X509Certificate } from 'node:crypto';

/** Characters of a pin: 32 bytes in base64url without padding. */
const PIN_PATTERN = /^[A-Za-z0-9_-]{43}$/;

/**
 * The pin of a public key: SHA-256 over its DER SubjectPublicKeyInfo (as in RFC 7469 §2.4),
 * base64url without padding (RFC 4648 §5), 43 characters.
 */
export function spkiPin(spkiDer: Uint8Array): string {
  return createHash('sha256').update(spkiDer).digest('base64url');
}

/** The pin of a certificate's key. */
export function certificatePin(certificate: X509Certificate): string {
  return spkiPin(certificate.publicKey.export({ format: 'der', type: 'spki' }));
}

export function isPin(text: string): boolean {
  return PIN_PATTERN.test(text);
}

/** Compares two pins in constant time; false when either is not a pin. */
export function equalPins(left: string, right: string): boolean {
  if (!isPin(left) || !isPin(right)) return false;
  return equalBytes(Buffer.from(left, 'base64url'), Buffer.from(right, 'base64url'));
}

/** Compares in a time that depends on the length only. */
export function equalBytes(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && timingSafeEqual(left, right);
}
