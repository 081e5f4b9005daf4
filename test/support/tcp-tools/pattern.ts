import { createHash } from 'node:crypto';

/** `length` bytes in which no two stretches of 256 are the same. */
export function pattern(length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  for (let index = 0; index < length; index += 1) {
    bytes[index] = (index ^ (index >> 8) ^ ((index >> 16) * 31)) & 0xff;
  }
  return bytes;
}

/** SHA-256 of {@link pattern}, in hex. */
export function patternDigest(length: number): string {
  return createHash('sha256').update(pattern(length)).digest('hex');
}
