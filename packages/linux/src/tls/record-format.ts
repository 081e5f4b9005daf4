import { TAG_BYTES } from '../crypto/aead.ts';

// Content types of RFC 8446 §5.1.
export const ALERT = 21;
export const HANDSHAKE = 22;
export const APPLICATION_DATA = 23;

export const HEADER_BYTES = 5;

/** Most bytes of content in a record (RFC 8446 §5.1). */
export const CONTENT_MAX = 2 ** 14;

/** Most bytes of a record after its header, padding and tag included (RFC 8446 §5.2). */
export const CIPHERTEXT_MAX = CONTENT_MAX + 256;

/** The content type behind the content, and the tag. */
export const PROTECTION_BYTES = 1 + TAG_BYTES;

/** What a record that carries no padding has beside its content. */
export const OVERHEAD_BYTES = HEADER_BYTES + PROTECTION_BYTES;

/** The length that the header at `at` gives for what follows it. */
export function lengthAt(bytes: Uint8Array, at: number): number {
  return (bytes[at + 3]! << 8) | bytes[at + 4]!;
}
